//! The parameters of the task types that document 000 prints: what is known of them is checked,
//! whatever else a task is given is left to its executor.

use super::table::{Shape, Table, To, rule};

const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];
const HOURS_MAX: f64 = 87_600.0;

static VULNERABILITY_SCAN: Table = Table {
    about: "Parameters of a vulnerability_scan",
    open: true,
    required: &[],
    fields: &[
        rule("targets", Shape::Texts, To::Own),
        rule("scan_type", Shape::Words(&["comprehensive", "quick", "deep"]), To::Own),
        rule("scanner_engine", Shape::Words(&["nessus", "openvas", "qualys"]), To::Own),
        rule("include_web_scan", Shape::Boolean, To::Own),
        rule("include_network_scan", Shape::Boolean, To::Own),
        rule("severity_threshold", Shape::Words(&SEVERITIES), To::Own),
        rule("output_format", Shape::Words(&["json", "xml", "pdf"]), To::Own),
        rule("max_scan_time_minutes", Shape::Number(0.0, HOURS_MAX * 60.0), To::Own),
    ],
};

static COMPLIANCE_CHECK: Table = Table {
    about: "Parameters of a compliance_check",
    open: true,
    required: &[],
    fields: &[
        rule("frameworks", Shape::Texts, To::Own),
        rule("target_systems", Shape::Texts, To::Own),
        rule("check_types", Shape::Texts, To::Own),
        rule("severity_threshold", Shape::Words(&SEVERITIES), To::Own),
        rule("generate_evidence", Shape::Boolean, To::Own),
        rule("output_format", Shape::Words(&["json", "pdf", "csv"]), To::Own),
    ],
};

static THREAT_ANALYSIS: Table = Table {
    about: "Parameters of a threat_analysis",
    open: true,
    required: &[],
    fields: &[
        rule("data_sources", Shape::Texts, To::Own),
        rule("analysis_models", Shape::Texts, To::Own),
        rule("time_window_hours", Shape::Number(0.0, HOURS_MAX), To::Own),
        rule("confidence_threshold", Shape::Number(0.0, 1.0), To::Own),
        rule("include_iot_analysis", Shape::Boolean, To::Own),
        rule("correlation_rules", Shape::Texts, To::Own),
    ],
};

static DATA_COLLECTION: Table = Table {
    about: "Parameters of a data_collection",
    open: true,
    required: &[],
    fields: &[
        rule("data_sources", Shape::Texts, To::Own),
        rule("output_format", Shape::Text, To::Own),
    ],
};

static REPORT_GENERATION: Table = Table {
    about: "Parameters of a report_generation",
    open: true,
    required: &[],
    fields: &[
        rule("format", Shape::Text, To::Own),
        rule("include_recommendations", Shape::Boolean, To::Own),
        rule("email_recipients", Shape::Texts, To::Own),
    ],
};

/// Task types and their parameters.
pub(super) static PARAMETERS: [(&str, &Table); 5] = [
    ("vulnerability_scan", &VULNERABILITY_SCAN),
    ("compliance_check", &COMPLIANCE_CHECK),
    ("threat_analysis", &THREAT_ANALYSIS),
    ("data_collection", &DATA_COLLECTION),
    ("report_generation", &REPORT_GENERATION),
];

/// The parameters of a task type, if they are known.
pub(super) fn parameters(task_type: &str) -> Option<&'static Table> {
    PARAMETERS.iter().find(|(known, _)| *known == task_type).map(|(_, table)| *table)
}
