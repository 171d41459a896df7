// Octets of a control or health client, and of the server that a command asks: in one go or in two,
// what is complete is the same; a request that is complete has a sane shape.
#include "fuzz/input.hpp"
#include "io/http_codec.hpp"

using namespace ztna;

namespace {

constexpr std::size_t max_header = 8 * 1024, max_body = 64 * 1024;

struct Outcome {
  bool complete = false;
  unsigned error = 0;
  std::string method, path, body;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome parse_request(std::string_view text, std::size_t cut) {
  io::HttpRequestParser parser(max_header, max_body);
  std::string input(text.substr(0, cut));
  parser.feed(input);
  if (!parser.complete() && parser.error() == 0) {
    input += text.substr(cut);
    parser.feed(input);
  }
  Outcome outcome{parser.complete(), parser.error(), "", "", ""};
  FUZZ_ASSERT(!(outcome.complete && outcome.error != 0));
  if (!outcome.complete) return outcome;
  if (const auto request = parser.request()) {
    FUZZ_ASSERT(!request->method.empty());
    FUZZ_ASSERT(request->body.size() <= max_body);
    outcome.method = request->method;
    outcome.path = request->path;
    outcome.body = request->body;
  }
  return outcome;
}

Outcome parse_response(std::string_view text, std::size_t cut) {
  io::HttpResponseParser parser(max_body, false);
  std::string input(text.substr(0, cut));
  bool fine = parser.feed(input);
  if (fine && !parser.complete()) {
    input += text.substr(cut);
    fine = parser.feed(input);
  }
  Outcome outcome{parser.complete(), fine ? 0U : 1U, "", "", ""};
  if (!fine) return outcome;
  if (!outcome.complete) {
    outcome.complete = parser.end_of_input();
    if (!outcome.complete) return outcome;
  }
  FUZZ_ASSERT(parser.body().size() <= max_body);
  outcome.error = parser.status();
  outcome.body = parser.body();
  return outcome;
}

// What is malformed may be found out later when it comes in two.
void check(const Outcome& one, const Outcome& other) {
  if (one.complete || other.complete) FUZZ_ASSERT(one == other);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = base::as_text({data + 1, size - 1});
  const std::size_t cut = std::min<std::size_t>(data[0], text.size());
  check(parse_request(text, cut), parse_request(text, text.size()));
  check(parse_response(text, cut), parse_response(text, text.size()));
  return 0;
}
