// What a report proves: the four acceptance tests, decided from the signed statements alone.
// Whoever has the file and the CA's certificate comes to the same result. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/signed_text.hpp"
#include "proof/report.hpp"

namespace ztna::proof {

struct Test {
  int number = 0;
  std::string title;
  bool passed = false;
  std::string evidence;  // what the statements say, or what is missing
};

struct Verdict {
  std::string agent, connector, intermediate;  // SPIFFE ids
  base::WallTime from, to;                     // of the first and the last statement
  std::vector<Test> tests;                     // four, in order
  [[nodiscard]] bool proven() const;
};

// `roots`: whose certificates count, at the time of each statement. Null: the statements must fit
// each other and their signatures, and whose certificates these are stays open. An error when they
// do not: then nothing of the report counts.
[[nodiscard]] base::Result<Verdict> judge(const Report& report, const identity::Roots* roots);

// What no such report can show, in sentences.
[[nodiscard]] const std::vector<std::string>& cannot_exclude();

}  // namespace ztna::proof
