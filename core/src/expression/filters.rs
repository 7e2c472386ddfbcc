//! The table of filters. `default` is not in it: it catches what is missing, which only the
//! evaluator can.

use serde_json::Value;

use super::filter_lists as lists;
use super::filter_values as values;
use super::meter::{Fault, Meter};

/// What a filter computes: from the value before the bar and its arguments, in the order of
/// its parameters. It pays for what it touches before it makes anything.
pub(crate) type Apply = fn(&Value, &[Option<Value>], &mut Meter) -> Result<Value, Fault>;

/// A filter: `value|name(arguments)`.
pub(crate) struct Filter {
    /// Its name.
    pub name: &'static str,
    /// The names of its parameters.
    pub parameters: &'static [&'static str],
    /// How many of them must be given.
    pub required: usize,
    /// What it computes.
    pub apply: Apply,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The filter of a name.
pub(crate) fn find(name: &str) -> Option<&'static Filter> {
    FILTERS.iter().find(|filter| filter.name == name)
}

const fn filter(
    name: &'static str,
    parameters: &'static [&'static str],
    required: usize,
    apply: Apply,
) -> Filter {
    Filter { name, parameters, required, apply }
}

/// Every filter but `default` and its short form `d`.
pub(crate) static FILTERS: [Filter; 35] = [
    filter("abs", &[], 0, values::abs),
    filter("bool", &[], 0, values::boolean),
    filter("capitalize", &[], 0, values::capitalize),
    filter("count", &[], 0, lists::length),
    filter("first", &[], 0, lists::first),
    filter("float", &[], 0, values::float),
    filter("fromjson", &[], 0, values::from_json),
    filter("int", &[], 0, values::integer),
    filter("items", &[], 0, lists::items),
    filter("join", &["separator"], 0, lists::join),
    filter("keys", &[], 0, lists::keys),
    filter("last", &[], 0, lists::last),
    filter("length", &[], 0, lists::length),
    filter("lower", &[], 0, values::lower),
    filter("map", &["attribute"], 1, lists::map),
    filter("max", &["attribute"], 0, lists::max),
    filter("min", &["attribute"], 0, lists::min),
    filter("rejectattr", &["attribute", "check", "value"], 1, lists::reject),
    filter("replace", &["old", "new"], 2, values::replace),
    filter("reverse", &[], 0, lists::reverse),
    filter("round", &["digits"], 0, values::round),
    filter("selectattr", &["attribute", "check", "value"], 1, lists::select),
    filter("sort", &["attribute", "reverse"], 0, lists::sort),
    filter("split", &["separator"], 0, values::split),
    filter("string", &[], 0, values::string),
    filter("sum", &["attribute"], 0, lists::sum),
    filter("title", &[], 0, values::title),
    filter("tojson", &[], 0, values::to_json),
    filter("trim", &[], 0, values::trim),
    filter("truncate", &["length"], 1, values::truncate),
    filter("unique", &["attribute"], 0, lists::unique),
    filter("upper", &[], 0, values::upper),
    filter("urlencode", &[], 0, values::url_encode),
    filter("values", &[], 0, lists::values),
    filter("list", &[], 0, lists::list_filter),
];
