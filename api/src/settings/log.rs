//! What is logged, how, and how much of it is kept in memory.

use super::LogFormat;
use crate::log::LEVELS;

/// How many bytes of the log may be kept in memory.
const LOG_BUFFER_BYTES: std::ops::RangeInclusive<usize> = 64 * 1024..=1024 * 1024 * 1024;

pub(super) fn log_level(text: &str) -> Result<String, String> {
    // By itself the filter takes any word for the name of a module.
    let has_level = |directive: &str| {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        LEVELS.contains(&level.trim().to_ascii_lowercase().as_str())
    };
    let read = tracing_subscriber::EnvFilter::builder().parse(text);
    match read {
        Ok(_) if text.split(',').all(has_level) => Ok(text.to_owned()),
        _ => Err(format!("{}, or directives such as info,hyper=debug", LEVELS.join(", "))),
    }
}

pub(super) fn log_buffer_bytes(text: &str) -> Result<usize, String> {
    let range = LOG_BUFFER_BYTES;
    let bytes =
        if text == "off" { Some(0) } else { text.parse().ok().filter(|own| range.contains(own)) };
    bytes.ok_or_else(|| {
        format!("off, or a number of bytes from {} to {}", range.start(), range.end())
    })
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}
