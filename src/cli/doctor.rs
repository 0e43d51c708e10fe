//! `doctor`: what this machine offers.

use protoclip::data::gibibytes;
use protoclip::device::{DeviceChoice, MachineMemory};
use protoclip::kernels::has_bf16_products;

use super::UsageError;
use crate::settings::{DoctorSettings, data_dir_or_default};
use crate::studio::{DataDir, instructions};

pub(super) fn doctor(settings: DoctorSettings) -> anyhow::Result<()> {
    say!("protoclip-studio {}", env!("CARGO_PKG_VERSION"));
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
        say!("  device {:<8} {found}", choice.to_string());
    }
    say!("  instructions    {}", instructions().join(" "));
    let bf16 = match has_bf16_products() {
        true => "faster than f32: try precision = \"bf16\"",
        false => "no faster than f32 on this CPU",
    };
    say!("  bf16 products   {bf16}");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    say!("  threads         {threads}");
    if let Some(memory) = MachineMemory::read() {
        let [total, free] = [memory.total, memory.available].map(|b| gibibytes(b as f64));
        say!("  memory          {total}, {free} free");
    }
    let root = data_dir_or_default(settings.data_dir)
        .ok_or_else(|| UsageError("HOME is not set; give --data-dir".into()))?;
    let data_dir = DataDir::open(&root)?;
    say!("  data directory  {}", data_dir.root().display());
    say!("  runs            {}", data_dir.run_ids()?.len());
    let free = gibibytes(data_dir.free_bytes()? as f64);
    say!("  free disk       {free}");
    Ok(())
}
