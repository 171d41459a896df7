// What the `ztna` commands work with, handed in so that tests can stand in the world's place.
#pragma once

#include <iosfwd>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace ztna::tool {

struct Context {
  std::ostream& out;
  std::ostream& err;
  base::Random& random;
  base::WallTime now;
  // What the process exits with: 0 done, 1 denied or failed, 2 wrong usage or input.
  int exit_code = 0;
};

// How a command ends: an error is one line for people and an exit code.
void conclude(Context& context, std::string_view command, const base::Status& done);

}  // namespace ztna::tool
