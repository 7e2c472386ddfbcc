//! Telling what opening the journal met, so that nothing is put right in silence.

use backstitch_journal::OpenReport;

/// Logs what is out of the ordinary.
pub(super) fn tell(report: &OpenReport) {
    if let Some(tail) = &report.torn_tail {
        let (segment, offset, bytes) = (tail.segment, tail.offset, tail.bytes);
        tracing::info!(segment, offset, bytes, "a crash left a write half done; it was cut off");
    }
    for segment in &report.segments_healed {
        tracing::warn!(segment, "a segment of the log was damaged; put back from the archive");
    }
    if let Some(why) = &report.store_rebuilt {
        tracing::warn!("the store was made anew from the chain: {why}");
    }
    if let Some(why) = &report.views_emptied {
        tracing::warn!("the views are made anew from the store: {why}");
    }
    if report.ballast_dropped {
        tracing::warn!("the disk is full; the ballast was given up to open");
    }
}
