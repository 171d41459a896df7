// The private service of a quickstart that exposes none of the user's own: one page.
#pragma once

#include <string>

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// HTML. `marker` is a text that occurs nowhere else, so that it can be looked for.
[[nodiscard]] std::string quickstart_page(const std::string& marker);

// Registers the hidden command `serve-page`: serves the page on a free loopback port until SIGTERM,
// and says on its control socket, as a daemon does, which port that is. `context` outlives `root`.
void add_serve_page_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
