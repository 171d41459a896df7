#include "tool/quickstart_page.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <memory>
#include <ostream>

#include "io/http_server.hpp"
#include "io/loop.hpp"

namespace ztna::tool {
namespace {

struct PageOptions {
  std::string control;
  std::string marker;
};

base::Status serve_page(const PageOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  io::Loop loop;
  io::HttpServer page(loop, {});
  page.route("GET", "/", [body = quickstart_page(options.marker)](const io::HttpRequest&) {
    return io::HttpResponse{200, "text/html; charset=utf-8", body};
  });
  const auto address = page.listen(base::Address::v4({127, 0, 0, 1}, 0));
  if (!address) return tl::unexpected(address.error());
  io::HttpServer control(loop, {});
  control.route("GET", "/v1/status", [address](const io::HttpRequest&) {
    return io::HttpResponse{
        200, "application/json",
        R"({"role":"page","ready":true,"listen":[")" + address->to_string() + "\"]}\n"};
  });
  if (auto listening = control.listen_unix(options.control); !listening) return listening;
  for (const int signal : {SIGTERM, SIGINT}) {
    if (auto status = loop.on_signal(signal, [&loop] { loop.stop(); }); !status) return status;
  }
  loop.run();
  return {};
}

}  // namespace

std::string quickstart_page(const std::string& marker) {
  return R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A private page</title>
<style>
  body { font: 18px/1.5 system-ui, sans-serif; max-width: 38em; margin: 4em auto; padding: 0 1em }
  code { background: #8882; padding: .1em .3em }
</style>
<h1>You have reached a private service.</h1>
<p>Your browser spoke to the <b>Agent</b> on this machine. The Agent sent your request through the
<b>Intermediate</b> to the <b>Connector</b>, inside a QUIC connection that only Agent and Connector
can read. The Connector asked the policy, and then this page's server.</p>
<p>The server listens on a loopback address that the Intermediate never learns.</p>
<p>Secret of this run: <code>)" +
         marker + R"(</code></p>
</html>
)";
}

void add_serve_page_command(CLI::App& root, Context& context) {
  CLI::App* const command = root.add_subcommand("serve-page", "The page of ztna quickstart.");
  command->group("");  // not for people
  auto options = std::make_shared<PageOptions>();
  command->add_option("--control", options->control)->required();
  command->add_option("--marker", options->marker)->required();
  command->callback([options, &context] {
    const auto served = serve_page(*options);
    if (served) return;
    context.err << "ztna serve-page: " << served.error().message() << "\n";
    context.exit_code = 1;
  });
}

}  // namespace ztna::tool
