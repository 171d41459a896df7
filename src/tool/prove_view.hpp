// What a proof looks like, to people and to programs. Pure.
#pragma once

#include <string>

#include "proof/judge.hpp"
#include "proof/report.hpp"

namespace ztna::tool {

// Who says so, and how that is known: "checked by the CA in ca-cert.pem".
[[nodiscard]] std::string proof_text(const proof::Report& report, const proof::Verdict& verdict,
                                     const std::string& checked_by);
// {"proven", "agent", …, "tests": [{"number", "title", "passed", "evidence"}], "cannot_exclude"}
[[nodiscard]] std::string proof_json(const proof::Verdict& verdict);

}  // namespace ztna::tool
