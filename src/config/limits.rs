//! Section `limits`: how much callers may ask for.

use std::time::Duration;

use super::reader::Reader;
use crate::domain::{Limit, Limits, PageSizes};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// Reads all limits; each one's meaning and default stand with the type.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Limits> {
    let default = Limits::default();
    let pages = page_sizes(reader, default.pages);
    let file_pages = page_sizes(reader, default.file_pages);
    let skip = reader.limit(default.skip, 0..=10_000_000);
    let labels = reader.limit(default.labels, 1..=1_000);
    let label_key_chars = reader.limit(default.label_key_chars, 1..=10_000);
    let label_value_chars = reader.limit(default.label_value_chars, 1..=10_000);
    let name_chars = reader.limit(default.name_chars, 1..=10_000);
    let context_syncs = reader.limit(default.context_syncs, 1..=1_000);
    let resolved_paths = reader.limit(default.resolved_paths, 1..=100_000);
    let sample_paths = reader.limit(default.sample_paths, 0..=100_000);
    let discrepancies = reader.limit(default.discrepancies, 1..=100_000);
    let piece_bytes = reader.limit(default.piece_bytes, 1024..=1 << 30);
    let session_piece_bytes = reader.limit(default.session_piece_bytes, 1024..=16 << 20);
    let tool_timeout = duration(reader, default.tool_timeout, "1h");
    let idle_timeout = duration(reader, default.idle_timeout, "24h");
    Some(Limits {
        pages: pages?,
        file_pages: file_pages?,
        skip: skip?,
        labels: labels?,
        label_key_chars: label_key_chars?,
        label_value_chars: label_value_chars?,
        name_chars: name_chars?,
        context_syncs: context_syncs?,
        resolved_paths: resolved_paths?,
        sample_paths: sample_paths?,
        discrepancies: discrepancies?,
        piece_bytes: piece_bytes?,
        session_piece_bytes: session_piece_bytes?,
        tool_timeout: tool_timeout?,
        idle_timeout: idle_timeout?,
    })
}

fn page_sizes(reader: &mut Reader<'_>, sizes: PageSizes) -> Option<PageSizes> {
    let default = reader.limit(sizes.default, 1..=10_000);
    let max = reader.limit(sizes.max, 1..=10_000);
    let (default, max) = (default?, max?);
    if default.value > max.value {
        reader.problem(
            default.setting,
            format!("must not be above {}, {}", max.setting, max.value),
        );
    }
    Some(PageSizes { default, max })
}

fn duration(
    reader: &mut Reader<'_>,
    limit: Limit<Duration>,
    default: &str,
) -> Option<Limit<Duration>> {
    let value = reader.duration(limit.setting, default, SECOND..=DAY)?;
    Some(Limit { value, ..limit })
}
