// `ztna lab`: finds the NAT laboratory, a Python program beside us, and becomes it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// The laboratory's folder, for a `ztna` in the folder `programs`: ../share/ztna/lab of an
// installation, or lab/ of the source tree whose build/<preset>/bin it is. The error names both.
[[nodiscard]] base::Result<std::filesystem::path> find_laboratory(
    const std::filesystem::path& programs);

void add_lab_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
