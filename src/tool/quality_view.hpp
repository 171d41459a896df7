// A measured quality for people, for programs, and as a picture. Pure.
#pragma once

#include <string>
#include <vector>

#include "tool/quality_figures.hpp"

namespace ztna::tool {

struct Quality {
  std::string service, connector;
  unsigned rate = 0, size = 0;  // datagrams a second; octets each
  std::vector<QualitySample> samples;
};

// One second of it, while it goes on: "  3 s  DIRECT  ping 0.61 ms  jitter 0.08 ms  loss 0 %"
[[nodiscard]] std::string quality_line(const std::vector<QualitySample>& second);
[[nodiscard]] std::string quality_text(const Quality& quality);
[[nodiscard]] std::string quality_json(const Quality& quality);  // one object and a line feed
// Round trips over time, by path; lost ones at the bottom, switches as lines. A whole SVG document.
[[nodiscard]] std::string quality_svg(const Quality& quality);

}  // namespace ztna::tool
