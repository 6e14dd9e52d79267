use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Dependencies whose daily business isn't ours: only their warnings are of interest, unless they are named.
const NOISY: [&str; 6] = ["ort", "notify", "object_store", "hyper", "hyper_util", "mio"];

/// What a filter may be.
const ALLOWED: &str = "error, warn, info, debug, trace or off, or TARGET=LEVEL for a part, separated by ','";

/// Reads a filter. Parts that it doesn't name are at `info`, if it gives no level for all.
pub(super) fn parse(text: &str) -> Result<EnvFilter, String> {
    let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let level = |part: &str| part.parse::<LevelFilter>().ok();
    // A single word would be taken for a target of which everything is logged: a level with a typing error.
    if let Some(word) = parts().find(|part| level(part).is_none() && !part.contains(['=', '[', ':'])) {
        return Err(if parts().count() > 1 { format!("{ALLOWED}; not {word:?}") } else { ALLOWED.into() });
    }
    let general = parts().filter_map(level).next_back().unwrap_or(LevelFilter::INFO);
    let quiet = general.min(LevelFilter::WARN);
    let noisy = NOISY.iter().map(|target| format!("{target}={quiet}"));
    let all: Vec<_> =
        std::iter::once(general.to_string()).chain(noisy).chain(parts().map(str::to_owned)).collect();
    EnvFilter::builder().parse(all.join(",")).map_err(|error| format!("{ALLOWED} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked() {
        for good in
            ["info", "DEBUG", "off", "", "warn,autorma_sink=trace", "autorma_sink::parts=debug", "a[b]=info"]
        {
            parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in ["verbose", "infos", "autorma_sink=loud", "info,x"] {
            parse(bad).map(|filter| filter.to_string()).unwrap_err();
        }
    }
}
