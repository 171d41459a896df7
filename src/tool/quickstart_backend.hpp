// Is the user's own service there? Asked before anything is started.
#pragma once

#include "base/result.hpp"
#include "config/options.hpp"

namespace ztna::tool {

// Connects once and hangs up. UDP services are taken on trust. The error names --expose.
[[nodiscard]] base::Status check_backend(const config::Service& service);

}  // namespace ztna::tool
