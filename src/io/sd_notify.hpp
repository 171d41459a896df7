// Messages to the service manager (sd_notify(3)), without libsystemd: datagrams to $NOTIFY_SOCKET.
// All calls do nothing when not started by a service manager, and never fail visibly. Any thread.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.hpp"

namespace ztna::io {

// True when a message was handed to the service manager.
bool sd_notify(std::string_view state);

bool sd_ready(std::string_view status = {});  // READY=1, with STATUS= for `systemctl status`
// RELOADING=1 with MONOTONIC_USEC=, as Type=notify-reload wants it; sd_ready() ends it.
bool sd_reloading();
bool sd_stopping();
bool sd_watchdog();

// Half of $WATCHDOG_USEC when it is meant for this process: how often to call sd_watchdog().
[[nodiscard]] std::optional<base::Duration> sd_watchdog_interval();

}  // namespace ztna::io
