#include "tool/quality_view.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "tool/status_format.hpp"
#include "tool/status_json.hpp"
#include "tool/text_table.hpp"

namespace ztna::tool {
namespace {

std::string percent(double value) {
  return format_fixed(value, value == 0 || value >= 10 ? 0 : value < 1 ? 2 : 1) + " %";
}

std::string_view name_of(bool direct) { return direct ? "DIRECT" : "RELAY"; }

// "all", and each kind of path that was used, where there were two.
struct Row {
  std::string name;
  QualityFigures figures;
};
std::vector<Row> rows_of(const Quality& quality) {
  std::vector<Row> rows;
  for (const bool direct : {false, true}) {
    const QualityFigures figures = figures_of(quality.samples, direct);
    if (figures.sent > 0) rows.push_back({std::string(name_of(direct)), figures});
  }
  if (rows.size() != 1) rows.push_back({"all", figures_of(quality.samples)});
  return rows;
}

std::string switches_text(const Quality& quality) {
  std::string text;
  for (const QualitySwitch& one : switches_of(quality.samples)) {
    text += text.empty() ? "to " : ", to ";
    text += name_of(one.to_direct);
    text += " after " + format_fixed(one.at_ms / 1000, 1) + " s";
  }
  return text;
}

// --- the picture

constexpr double width = 960, height = 320, left = 64, right = 16, top = 40, bottom = 48;
constexpr std::string_view direct_colour = "#1a7f5a", relay_colour = "#c2571a",
                           lost_colour = "#b3001b";

// A round number of at least `value`: 1, 2 or 5 times a power of ten.
double ceiling(double value) {
  const double power = std::pow(10, std::floor(std::log10(std::max(value, 0.1))));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (step * power >= value) return step * power;
  }
  return 10 * power;
}

class Plot {
 public:
  explicit Plot(const Quality& quality) : quality_(quality) {
    for (const QualitySample& sample : quality.samples) {
      seconds_ = std::max(seconds_, sample.at_ms / 1000);
    }
    // The slowest hundredth may leave the picture at its top, where it is drawn.
    most_ = ceiling(1.5 * figures_of(quality.samples).p99);
  }

  std::string text() {
    out_ << std::fixed << std::setprecision(1)
         << R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 )" << width << " " << height
         << R"(" font-family="sans-serif" font-size="12">)" << "\n"
         << R"(<rect width="100%" height="100%" fill="#fff"/>)" << "\n";
    const QualityFigures all = figures_of(quality_.samples);
    label(left, 20, "start",
          quality_.service + " at " + quality_.connector + ": " +
              std::string(to_string(all.grade())) + ", p50 " + format_ms(all.p50) + ", p99 " +
              format_ms(all.p99) + ", jitter " + format_ms(all.jitter) + ", loss " +
              percent(all.loss_percent()));
    axes();
    for (const QualitySwitch& one : switches_of(quality_.samples)) mark(one);
    for (const QualitySample& sample : quality_.samples) dot(sample);
    out_ << "</svg>\n";
    return out_.str();
  }

 private:
  [[nodiscard]] double x(double at_ms) const {
    return left + (width - left - right) * (at_ms / 1000) / std::max(seconds_, 0.001);
  }
  [[nodiscard]] double y(double ms) const {
    return height - bottom - (height - top - bottom) * std::min(ms / most_, 1.0);
  }

  void label(double at_x, double at_y, std::string_view anchor, std::string_view text) {
    out_ << "<text x=\"" << at_x << "\" y=\"" << at_y << "\" text-anchor=\"" << anchor << "\">"
         << text << "</text>\n";
  }
  void line(double x1, double y1, double x2, double y2, std::string_view style) {
    out_ << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2 << "\" "
         << style << "/>\n";
  }
  void circle(double at_x, double at_y, double radius, std::string_view colour) {
    out_ << "<circle cx=\"" << at_x << "\" cy=\"" << at_y << "\" r=\"" << radius << "\" fill=\""
         << colour << "\"/>\n";
  }

  void axes() {
    for (int i = 0; i <= 4; ++i) {
      const double ms = most_ * i / 4;
      line(left, y(ms), width - right, y(ms), "stroke=\"#ddd\"");
      label(left - 8, y(ms) + 4, "end", format_ms(ms));
      const double at = seconds_ * i / 4;
      label(x(1000 * at), height - bottom + 20, "middle", format_fixed(at, 1) + " s");
    }
    double at_x = left;
    for (const auto& [name, colour] :
         {std::pair{"direct", direct_colour}, std::pair{"relay", relay_colour},
          std::pair{"lost", lost_colour}}) {
      circle(at_x, height - 12, 4, colour);
      label(at_x + 8, height - 8, "start", name);
      at_x += 72;
    }
  }

  void mark(const QualitySwitch& one) {
    line(x(one.at_ms), top, x(one.at_ms), height - bottom,
         "stroke=\"#777\" stroke-dasharray=\"4 3\"");
    label(x(one.at_ms) + 4, top - 4, "start", name_of(one.to_direct));
  }

  void dot(const QualitySample& sample) {
    if (!sample.rtt_ms) {
      line(x(sample.at_ms), height - bottom - 6, x(sample.at_ms), height - bottom + 6,
           R"(stroke=")" + std::string(lost_colour) + R"(" stroke-width="2")");
      return;
    }
    circle(x(sample.at_ms), y(*sample.rtt_ms), 2, sample.direct ? direct_colour : relay_colour);
  }

  const Quality& quality_;
  double seconds_ = 0, most_ = 1;
  std::ostringstream out_;
};

}  // namespace

std::string quality_line(const std::vector<QualitySample>& second) {
  if (second.empty()) return "nothing was sent";
  const QualityFigures figures = figures_of(second);
  const std::string path(name_of(second.back().direct));
  if (figures.sent == figures.lost) return path + "  all " + std::to_string(figures.sent) + " lost";
  return path + "  ping " + format_ms(figures.p50) + "  jitter " + format_ms(figures.jitter) +
         "  loss " + percent(figures.loss_percent());
}

std::string quality_text(const Quality& quality) {
  std::vector<std::vector<std::string>> table = {
      {"path", "sent", "lost", "p50", "p95", "p99", "jitter", "grade"}};
  const std::vector<Row> rows = rows_of(quality);
  for (const auto& [name, figures] : rows) {
    table.push_back({name, format_count(figures.sent), percent(figures.loss_percent()),
                     format_ms(figures.p50), format_ms(figures.p95), format_ms(figures.p99),
                     format_ms(figures.jitter), std::string(to_string(figures.grade()))});
  }
  const Grade grade = rows.back().figures.grade();
  const std::string switches = switches_text(quality);
  return quality.service + " at connector " + quality.connector + ": datagrams of " +
         std::to_string(quality.size) + " octets, " + std::to_string(quality.rate) +
         " a second, each sent back\n\n" + text_table("  ", table) + "\n" +
         std::string(to_string(grade)) + " for a game: " + limits_text(grade) + "\n" +
         (switches.empty() ? "" : "moved " + switches + "\n");
}

std::string quality_json(const Quality& quality) {
  Json json = {{"service", quality.service},
               {"connector", quality.connector},
               {"rate", quality.rate},
               {"size", quality.size}};
  const std::vector<Row> rows = rows_of(quality);
  json["grade"] = to_string(rows.back().figures.grade());
  Json& paths = json["paths"] = Json::array();
  for (const auto& [name, figures] : rows) {
    paths.push_back({{"path", name},
                     {"sent", figures.sent},
                     {"lost", figures.lost},
                     {"loss_percent", figures.loss_percent()},
                     {"p50_ms", figures.p50},
                     {"p95_ms", figures.p95},
                     {"p99_ms", figures.p99},
                     {"jitter_ms", figures.jitter},
                     {"grade", to_string(figures.grade())}});
  }
  Json& switches = json["switches"] = Json::array();
  for (const QualitySwitch& one : switches_of(quality.samples)) {
    switches.push_back({{"at_ms", one.at_ms}, {"to", name_of(one.to_direct)}});
  }
  Json& samples = json["samples"] = Json::array();
  for (const QualitySample& sample : quality.samples) {
    samples.push_back({{"at_ms", sample.at_ms},
                       {"via", name_of(sample.direct)},
                       {"rtt_ms", sample.rtt_ms ? Json(*sample.rtt_ms) : Json()}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string quality_svg(const Quality& quality) { return Plot(quality).text(); }

}  // namespace ztna::tool
