//! Choosing where a run computes, by name and at run time.
//!
//! Everything else in this crate takes a [`Device`] and assumes nothing about it.

mod machine_memory;

use std::fmt;

use burn::tensor::{Device, DeviceType};

pub use machine_memory::MachineMemory;

/// A device as a person names it: `auto`, `cpu`, `cuda:N` or `wgpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that is compiled in and present, else the CPU.
    Auto,
    Cpu,
    Cuda(usize),
    Wgpu,
}

/// Why a named device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("{0:?} is no device; use auto, cpu, cuda:N or wgpu")]
    Unknown(String),
    #[error(
        "this program was built without {feature}; rebuild with `--features {feature}` or choose cpu"
    )]
    NotBuilt { feature: &'static str },
    #[error("{name} was asked for but {found}; choose cpu or auto")]
    Absent { name: String, found: String },
}

impl DeviceChoice {
    /// Reads `auto`, `cpu`, `cuda`, `cuda:N` or `wgpu`.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" | "" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "wgpu" => Ok(Self::Wgpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::Unknown(other.into())),
        }
    }

    /// Finds the device on this machine.
    ///
    /// # Errors
    /// When its backend is not compiled in or no such device is present.
    pub fn open(self) -> Result<ComputeDevice, DeviceError> {
        match self {
            Self::Cpu => Ok(ComputeDevice::cpu()),
            Self::Cuda(index) => cuda(index),
            Self::Wgpu => wgpu(),
            Self::Auto => Ok(cuda(0)
                .or_else(|_| wgpu_hardware())
                .unwrap_or_else(|_| ComputeDevice::cpu())),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu => f.write_str("wgpu"),
        }
    }
}

/// An opened device with the name that the studio shows.
#[derive(Debug, Clone)]
pub struct ComputeDevice {
    pub device: Device,
    /// `cpu`, `cuda:0`, `wgpu`.
    pub name: String,
}

impl ComputeDevice {
    /// The CPU backend, always present.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            name: "cpu".into(),
        }
    }

    /// Whether this is the CPU backend.
    pub fn is_cpu(&self) -> bool {
        self.device == Device::flex()
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<ComputeDevice, DeviceError> {
    let found = Device::enumerate(DeviceType::Cuda);
    if index >= found.len() {
        return Err(DeviceError::Absent {
            name: format!("cuda:{index}"),
            found: format!("this machine has {} CUDA devices", found.len()),
        });
    }
    Ok(ComputeDevice {
        device: Device::cuda(index),
        name: format!("cuda:{index}"),
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<ComputeDevice, DeviceError> {
    let _ = DeviceType::Flex;
    Err(DeviceError::NotBuilt { feature: "cuda" })
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<ComputeDevice, DeviceError> {
    if Device::enumerate(DeviceType::Wgpu).is_empty() {
        return Err(DeviceError::Absent {
            name: "wgpu".into(),
            found: "no Vulkan, Metal or DX12 driver was found".into(),
        });
    }
    Ok(ComputeDevice {
        device: Device::wgpu(Default::default()),
        name: "wgpu".into(),
    })
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<ComputeDevice, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "wgpu" })
}

/// `auto` never picks wgpu: software drivers report themselves as devices and are slower than the CPU.
fn wgpu_hardware() -> Result<ComputeDevice, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "wgpu" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for name in ["auto", "cpu", "cuda:3", "wgpu"] {
            assert_eq!(DeviceChoice::parse(name).expect(name).to_string(), name);
        }
        for name in ["tpu", "cuda:x", "cuda:", "CPU"] {
            assert!(DeviceChoice::parse(name).is_err(), "{name}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn an_absent_device_says_what_to_do() {
        let message = DeviceChoice::Cuda(0)
            .open()
            .expect_err("not built")
            .to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }
}
