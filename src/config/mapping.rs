//! Section `mapping`: how mappings are inspected and verified.

use super::reader::Reader;

/// How mappings are inspected and verified.
#[derive(Clone, Copy, Debug)]
pub struct MappingConfig {
    /// How many files and folders of a context one call looks at: 1 to 10,000,000. Default: 100,000.
    pub max_entries: usize,
}

impl MappingConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let max_entries = reader.number("mapping.max_entries", 100_000, 1..=10_000_000);
        Some(Self {
            max_entries: max_entries?,
        })
    }
}
