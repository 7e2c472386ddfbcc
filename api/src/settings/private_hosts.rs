//! Whether private hosts are called that a run's data names: `auto`, `allow`, `deny`, or `deny
//! except` some.

use backstitch_executors::{HostList, PrivateHosts};

/// What the setting means; nothing for what authentication has it be.
pub(super) fn read(text: &str) -> Result<Option<PrivateHosts>, String> {
    match text {
        "auto" => return Ok(None),
        "allow" => return Ok(Some(PrivateHosts::Allowed)),
        "deny" => return Ok(Some(PrivateHosts::DeniedBut(HostList::default()))),
        _ => {}
    }
    let wanted = "auto, allow, deny, or such as deny except billing.internal, *.local, 10.1.0.0/16";
    let exceptions = text.strip_prefix("deny except ").ok_or_else(|| wanted.to_owned())?;
    let exceptions = exceptions.parse().map_err(|why| format!("{wanted}; {why}"))?;
    Ok(Some(PrivateHosts::DeniedBut(exceptions)))
}
