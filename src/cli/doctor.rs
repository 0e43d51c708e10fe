//! `doctor`: what this machine offers.

use protoclip::device::DeviceChoice;
use protoclip::kernels::has_bf16_products;

use super::UsageError;
use crate::settings::{DoctorSettings, data_dir_or_default};
use crate::studio::{DataDir, instructions};

pub(super) fn doctor(settings: DoctorSettings) -> anyhow::Result<()> {
    println!("protoclip-studio {}", env!("CARGO_PKG_VERSION"));
    for choice in [
        DeviceChoice::Auto,
        DeviceChoice::Cpu,
        DeviceChoice::Cuda(0),
        DeviceChoice::Wgpu,
    ] {
        let found = match choice.open() {
            Ok(device) => device.name,
            Err(error) => format!("no: {error}"),
        };
        println!("  device {:<8} {found}", choice.to_string());
    }
    println!("  instructions    {}", instructions().join(" "));
    let bf16 = match has_bf16_products() {
        true => "faster than f32: try precision = \"bf16\"",
        false => "no faster than f32 on this CPU",
    };
    println!("  bf16 products   {bf16}");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("  threads         {threads}");
    let root = data_dir_or_default(settings.data_dir)
        .ok_or_else(|| UsageError("HOME is not set; give --data-dir".into()))?;
    let data_dir = DataDir::open(&root)?;
    println!("  data directory  {}", data_dir.root().display());
    println!("  runs            {}", data_dir.run_ids()?.len());
    let gibibytes = data_dir.free_bytes()? as f64 / f64::from(1 << 30);
    println!("  free disk       {gibibytes:.1} GiB");
    Ok(())
}
