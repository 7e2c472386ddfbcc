//! The end of the demo: every order as the orchestrator and as the shop's books have it.

use crate::error::Error;
use crate::terminal::{Terminal, Tone};

use super::shop::{Books, Holding, Service};
use super::watch::Followed;

/// Prints the table and the verdict; answers whether the books balance and every order went
/// as it should.
pub(super) fn show(
    terminal: &Terminal,
    followed: &[Followed],
    books: &Books,
) -> Result<bool, Error> {
    let heading = format!(
        "   {:<9} {:<27} {:<12} {:<9} {:<9} {:<9} verdict",
        "order", "what is special", "run", "stock", "payment", "shipping"
    );
    terminal.line(&terminal.paint(Tone::Faint, &heading))?;
    let mut as_told = true;
    for one in followed {
        let held = Service::ALL.map(|service| holding(books, &one.order.id, service));
        let arrives = books.is_fulfilled(&one.order.id);
        as_told &= arrives == one.order.should_arrive;
        let verdict = match arrives {
            true => terminal.paint(Tone::Good, "fulfilled"),
            false => terminal.paint(Tone::Odd, "undone"),
        };
        let status = one.timeline.ended().unwrap_or("running");
        let [stock, payment, shipping] = held.map(word);
        terminal.line(&format!(
            "   {:<9} {:<27} {status:<12} {stock:<9} {payment:<9} {shipping:<9} {verdict}",
            one.order.id, one.order.story
        ))?;
    }
    let orders: Vec<&str> = followed.iter().map(|one| one.order.id.as_str()).collect();
    let found = [books.check(&orders), books.check_undo_order()].concat();
    for discrepancy in &found {
        terminal.line(&terminal.paint(Tone::Bad, &format!("   WRONG: {discrepancy}")))?;
    }
    if !as_told {
        terminal.line(&terminal.paint(Tone::Bad, "   WRONG: an order went otherwise than told"))?;
    }
    let balanced = found.is_empty() && as_told;
    if balanced {
        let repeats = books.repeats;
        let verdict = "   The books balance: every order is wholly fulfilled or wholly undone, and";
        terminal.line(&terminal.paint(Tone::Good, verdict))?;
        let verdict = format!(
            "   nothing was done twice ({repeats} repeated requests were recognised by their key)."
        );
        terminal.line(&terminal.paint(Tone::Good, &verdict))?;
    }
    Ok(balanced)
}

fn holding(books: &Books, order: &str, service: Service) -> Holding {
    books.orders.get(order).and_then(|own| own.get(&service)).copied().unwrap_or_default()
}

fn word(holding: Holding) -> &'static str {
    match holding {
        holding if holding.holds() => "done",
        Holding { done: 0, .. } => "-",
        _ => "undone",
    }
}
