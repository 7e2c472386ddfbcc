//! The words of the language: keywords, filters, tests. `docs/expressions.md` explains them.

/// Words that are no names.
pub(crate) const KEYWORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
];

/// The filter that passes numbers only; no author can write it.
pub(super) const NUMBER_FILTER: &str = "__number";

/// The filter that pays for all that is in an operand; no author can write it.
pub(super) const WEIGHED_FILTER: &str = "__weighed";

/// The filter that pays for going over what is sliced; no author can write it.
pub(super) const SLICED_FILTER: &str = "__sliced";

/// The filters.
pub(super) const FILTERS: [&str; 40] = [
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "field",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "optional_field",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
    "attr",
];

/// The tests of `is`.
pub(super) const TESTS: [&str; 28] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];
