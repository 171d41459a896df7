// One input through each SOCKS5 parser: what a parser accepts it accepts at exactly that size, and
// waits at every smaller one.
#include "wire/socks5.hpp"

#include "fuzz/input.hpp"

using namespace ztna;
using namespace ztna::wire;

namespace {

template <class Parse>
void check_incremental(Parse parse, base::BytesView input) {
  const auto whole = parse(input);
  FUZZ_ASSERT(whole.size <= input.size());
  if (!whole) return;
  FUZZ_ASSERT(whole.size <= socks5::max_request);
  for (std::size_t size = 0; size < whole.size; ++size) {
    const auto part = parse(input.first(size));
    FUZZ_ASSERT(!part && part.outcome == socks5::Outcome::incomplete);
  }
  FUZZ_ASSERT(parse(input.first(whole.size)).size == whole.size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView input(data, size);
  check_incremental(socks5::parse_methods, input);
  check_incremental(socks5::parse_request, input);
  const auto header = socks5::parse_udp_header(input);
  FUZZ_ASSERT(header.size <= size);
  if (!header) return 0;
  std::array<std::uint8_t, socks5::max_request> out{};
  const std::size_t written = socks5::encode_udp_header(header.value, out);
  FUZZ_ASSERT(written != 0);
  const auto again = socks5::parse_udp_header(base::BytesView(out).first(written));
  FUZZ_ASSERT(again && again.size == written);
  FUZZ_ASSERT(again.value.host == header.value.host && again.value.port == header.value.port);
  return 0;
}
