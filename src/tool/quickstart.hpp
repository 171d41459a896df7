// `ztna quickstart`: the whole system on this machine, as real processes, with one page fetched
// through it.
#pragma once

#include <string>
#include <vector>

#include "config/options.hpp"
#include "tool/context.hpp"

namespace ztna::tool {

struct QuickstartOptions {
  bool once = false;
  bool json = false;                    // the report as JSON; progress goes to context.err
  std::vector<config::Service> expose;  // empty: a built-in page
  std::string dir;                      // a new or empty folder to keep; empty: a temporary one
  std::string programs;                 // the folder of the three daemons
  std::string self;                     // the path of `ztna`, which also serves the page
};

// Exit codes: 0 the service was reached and everything ended well, 1 not, 2 unusable --dir.
[[nodiscard]] int run_quickstart(const QuickstartOptions& options, Context& context);

}  // namespace ztna::tool
