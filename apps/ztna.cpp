// `ztna`, people's tool: hands the world (standard streams, clock, randomness) to src/tool.
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <ctime>
#include <exception>
#include <iostream>
#include <stdexcept>

#include "tool/command_line.hpp"

namespace {

class SystemRandom : public ztna::base::Random {
 public:
  void fill(ztna::base::MutableBytes out) override {
    if (gnutls_rnd(GNUTLS_RND_RANDOM, out.data(), out.size()) < 0) {
      throw std::runtime_error("no random numbers from the system");
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  SystemRandom random;
  ztna::tool::Context context{std::cout, std::cerr, random, {std::time(nullptr)}};
  try {
    return ztna::tool::run_command_line({argv + 1, argv + argc}, context);
  } catch (const std::exception& error) {
    std::cerr << "ztna: " << error.what() << "\n";
    return 2;
  }
}
