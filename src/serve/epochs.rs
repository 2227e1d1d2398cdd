//! The daily closing of the open epoch, and the jobs that wait for a date.

use crate::clock::{Day, Instant};
use crate::config::Epochs;
use crate::limits;
use crate::vault::Vault;

/// Looks now and then whether the day's closing is due, for as long as the
/// server runs. It ends with the runtime.
pub async fn keep(vault: Vault, epochs: Epochs) {
    let mut look = tokio::time::interval(limits::EPOCH_LOOK);
    while vault.is_sound() {
        look.tick().await;
        let now = Instant::now();
        if let Err(error) = vault.wake_jobs(now).await {
            tracing::warn!(reason = error.reason(), "waiting jobs were not looked at");
        }
        if let Err(error) = vault.note_uses(now).await {
            tracing::warn!(
                reason = error.reason(),
                "last uses of keys were not written down"
            );
        }
        let Epochs::Daily(hour) = epochs else {
            continue;
        };
        match vault.newest_epoch().await {
            Ok(opened) if is_due(opened, now, hour) => {
                if let Err(error) = vault.close_daily().await {
                    tracing::error!(reason = error.reason(), "the daily closing did not begin");
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(reason = error.reason(), "the epochs were not looked at");
            }
        }
    }
}

/// Due once a day from the hour on: a server that was down then closes when it
/// is back.
fn is_due(opened: Day, now: Instant, hour: u32) -> bool {
    let of_day = now.seconds().rem_euclid(86_400) / 3_600;
    let today = now.day();
    opened.0 < today.0.saturating_sub(1) || (opened < today && of_day >= i64::from(hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_is_due_once_a_day_from_its_hour_on() {
        let at = |day: i64, hour: i64| Instant::from_micros((day * 24 + hour) * 3_600_000_000);
        for (day, hour, due) in [
            (10, 23, false),
            (11, 2, false),
            (11, 3, true),
            (11, 23, true),
            (12, 0, true),
        ] {
            assert_eq!(is_due(Day(10), at(day, hour), 3), due, "{day} {hour}");
        }
    }
}
