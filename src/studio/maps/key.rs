//! Which map: step, space, method and features; its name as a file and in addresses.

use std::fmt;

use protoclip::analysis::MapMethod;
use serde::{Deserialize, Serialize};

/// Whose features a map shows.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MapSpace {
    #[default]
    Image,
    Text,
    /// Both modalities in one map.
    Joint,
}

/// Which features of a sample.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MapFeatures {
    /// Those that prototypes are made of: projected features, or the tower's in a run without
    /// projection heads.
    #[default]
    Clustered,
    /// The towers' outputs.
    Tower,
}

/// Names one map of a run.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct MapKey {
    pub step: u64,
    #[serde(default)]
    pub space: MapSpace,
    #[serde(default)]
    pub method: MapMethod,
    #[serde(default)]
    pub features: MapFeatures,
}

impl MapSpace {
    pub const ALL: [Self; 3] = [Self::Image, Self::Text, Self::Joint];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
            Self::Joint => "joint",
        }
    }
}

impl MapFeatures {
    pub const ALL: [Self; 2] = [Self::Clustered, Self::Tower];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Clustered => "clustered",
            Self::Tower => "tower",
        }
    }
}

impl MapKey {
    /// Whether another map shows the same at another step.
    pub fn is_sibling(&self, other: &Self) -> bool {
        Self {
            step: other.step,
            ..*self
        } == *other
            && self.step != other.step
    }

    /// Name of its file in the run directory.
    pub(crate) fn file_name(&self) -> String {
        format!("{self}.safetensors")
    }

    /// The key of a file's name.
    pub(crate) fn of_file_name(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".safetensors")?.split('-');
        let mut next = || parts.next();
        let step = next()?.parse().ok()?;
        let (space, method, features) = (next()?, next()?, next()?);
        let found = Self {
            step,
            space: MapSpace::ALL.into_iter().find(|s| s.name() == space)?,
            method: MapMethod::ALL.into_iter().find(|m| m.name() == method)?,
            features: MapFeatures::ALL
                .into_iter()
                .find(|f| f.name() == features)?,
        };
        next().is_none().then_some(found)
    }
}

impl fmt::Display for MapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (space, method) = (self.space.name(), self.method.name());
        write!(
            f,
            "{:08}-{space}-{method}-{}",
            self.step,
            self.features.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_again_by_its_file_name_and_nothing_else_is() {
        for space in MapSpace::ALL {
            for method in MapMethod::ALL {
                for features in MapFeatures::ALL {
                    let key = MapKey {
                        step: 120,
                        space,
                        method,
                        features,
                    };
                    assert_eq!(MapKey::of_file_name(&key.file_name()), Some(key));
                }
            }
        }
        for other in [
            "",
            "x-image-tsne-tower.safetensors",
            "1-image-tsne.safetensors",
        ] {
            assert_eq!(MapKey::of_file_name(other), None, "{other}");
        }
        let more = "00000001-image-tsne-tower-x.safetensors";
        assert_eq!(MapKey::of_file_name(more), None);
    }
}
