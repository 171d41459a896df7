// Loopback throughput of src/io: sender, kernel and receiver share one core, so a core's share of
// real work is about twice what is printed.
#include <benchmark/benchmark.h>

#include <string>

#include "io/tcp.hpp"
#include "io/udp_socket.hpp"

namespace ztna::io {
namespace {

const base::Address kLoopback = base::Address::v4({127, 0, 0, 1}, 0);

struct UdpSink : UdpSocket::Handler {
  std::size_t packets = 0, bytes = 0;
  void on_datagram(const Datagram& datagram) override {
    ++packets;
    bytes += datagram.payload.size();
  }
};

// Batches of `segments` datagrams of 1200 octets, with GSO and GRO or with neither.
void udp(benchmark::State& state) {
  UdpSocket::Options options;
  options.gso = options.gro = state.range(1) != 0;
  Loop loop;
  UdpSink source, sink;
  auto left = UdpSocket::bind(loop, kLoopback, options, source);
  auto right = UdpSocket::bind(loop, kLoopback, options, sink);
  const auto segments = static_cast<std::size_t>(state.range(0));
  const base::Bytes data(segments * 1200, 0x5a);
  OutgoingDatagrams out;
  out.to = right->local_address();
  out.segment = 1200;
  out.ecn = 2;
  out.bytes = data;
  for (auto _ : state) {
    const std::size_t want = sink.packets + 4 * segments;
    for (int i = 0; i < 4; ++i)
      if (left->send(out).status != SendStatus::sent) return state.SkipWithError("send refused");
    while (sink.packets < want) loop.run_one();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(sink.packets));
  state.SetBytesProcessed(static_cast<std::int64_t>(sink.bytes));
}
BENCHMARK(udp)
    ->ArgNames({"segments", "offload"})
    ->Args({1, 0})
    ->Args({50, 0})
    ->Args({1, 1})
    ->Args({10, 1})
    ->Args({50, 1});

struct TcpEnd : TcpStream::Handler {
  TcpStream stream;
  std::size_t bytes = 0;
  bool ready = false;
  void on_connected() override { ready = true; }
  void on_data(base::BytesView data) override { bytes += data.size(); }
  void on_eof() override {}
  void on_closed(TcpStream::CloseReason) override {}
};

void tcp(benchmark::State& state) {
  Loop loop;
  TcpEnd client, server;
  auto listener =
      TcpListener::bind(loop, kLoopback, {}, [&](TcpStream stream, const base::Address&) {
        server.stream = std::move(stream);
        server.stream.start(server);
        server.ready = true;
      });
  client.stream = TcpStream::connect(loop, {"127.0.0.1", listener->local_address().port()},
                                     std::chrono::seconds(5), client);
  while (!client.ready || !server.ready) loop.run_one();
  const base::Bytes chunk(static_cast<std::size_t>(state.range(0)), 0x5a);
  std::size_t written = 0;
  for (auto _ : state) {
    written += client.stream.write(chunk);
    while (server.bytes < written) loop.run_one();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(server.bytes));
}
BENCHMARK(tcp)->ArgName("chunk")->Arg(1200)->Arg(16 << 10)->Arg(64 << 10)->Arg(256 << 10);

void timer_set(benchmark::State& state) {
  Loop loop;
  Timer timer(loop, [] {});
  const base::Time start = Loop::now() + std::chrono::hours(1);
  std::int64_t step = 0;
  for (auto _ : state) timer.set(start + base::Duration(step++ % 1000));
}
BENCHMARK(timer_set);

}  // namespace
}  // namespace ztna::io
