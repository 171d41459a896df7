// TCP (and Unix stream) connections with backpressure both ways, half-close and honest resets.
//
// Nothing is buffered here: on_data() hands out the loop's read buffer, which holds only until it
// returns, and write() puts octets straight into the kernel and says how many it took.
//
// Threading: the loop's thread. Callbacks come from the loop only, never from inside a call on the
// stream. Destruction: a TcpStream may be destroyed, closed or aborted in any callback, its own
// included; no callback follows. The Handler must live until then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "io/connect_error.hpp"
#include "io/loop.hpp"

namespace ztna::io {

class TcpStream {
 public:
  enum class Closed : std::uint8_t {
    finished,   // both directions ended with FIN
    reset,      // RST from the peer
    timed_out,  // the kernel gave up on an unanswering peer
    failed,     // anything else; see os_error
  };
  struct CloseReason {
    Closed why = Closed::failed;
    int os_error = 0;
  };

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_connected() {}                     // connect() only
    virtual void on_connect_failed(ConnectFailure) {}  // connect() only; the last call
    // How many octets the next on_data() may hand out at most. 0 pauses reading until
    // resume_reading(). So the owner never gets more than it can pass on.
    [[nodiscard]] virtual std::size_t read_budget() {
      return std::numeric_limits<std::size_t>::max();
    }
    virtual void on_data(base::BytesView data) = 0;
    virtual void on_eof() = 0;     // FIN from the peer; writing goes on
    virtual void on_writable() {}  // after write() took less than it was given
    // The connection has ended by itself; the last call. A reset is noticed while reading is
    // paused, too.
    virtual void on_closed(CloseReason reason) = 0;
  };

  TcpStream() = default;  // empty
  // Resolves `to` anew and tries its addresses in turn within `timeout`.
  [[nodiscard]] static TcpStream connect(Loop& loop, const base::HostPort& to,
                                         base::Duration timeout, Handler& handler);
  ~TcpStream();  // as close()
  TcpStream(TcpStream&&) noexcept;
  TcpStream& operator=(TcpStream&&) noexcept;

  // For accepted streams: reading begins, events go to `handler`. Once.
  void start(Handler& handler);

  void pause_reading();
  void resume_reading();
  // The octets that the kernel took. Fewer than given: keep the rest, on_writable() follows (or
  // on_closed()). 0 before on_connected() and on a stream that is gone.
  [[nodiscard]] std::size_t write(base::BytesView data);
  void shutdown_write();  // FIN after what was written
  void abort();           // RST
  // Lets the kernel deliver what was written, and reads no more (RST if the peer still sends).
  void close();

  // Takes a connected, non-blocking stream socket (TCP or Unix) as an accepted one.
  [[nodiscard]] static TcpStream adopt(Loop& loop, int fd);

  [[nodiscard]] bool is_open() const;  // connecting or connected
  [[nodiscard]] base::Address remote_address() const;
  [[nodiscard]] base::Address local_address() const;

 private:
  class Impl;
  explicit TcpStream(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};
[[nodiscard]] std::string_view to_string(TcpStream::Closed why);

class TcpListener {
 public:
  struct Options {
    bool dual_stack = true;  // [::] takes IPv4 too
  };
  struct Counters {
    std::uint64_t accepted = 0;
    std::uint64_t aborted = 0;  // gone before accept(); harmless
    // Out of descriptors or memory: accepting paused for pause, then tried again.
    std::uint64_t paused = 0;
  };
  static constexpr base::Duration pause = std::chrono::milliseconds(100);

  // The listener may be destroyed inside the callback.
  using Accept = std::function<void(TcpStream stream, const base::Address& peer)>;

  [[nodiscard]] static base::Result<TcpListener> bind(Loop& loop, const base::Address& local,
                                                      const Options& options, Accept accept);
  ~TcpListener();
  TcpListener(TcpListener&&) noexcept;
  TcpListener& operator=(TcpListener&&) noexcept;

  [[nodiscard]] const base::Address& local_address() const;  // with the port that was given
  [[nodiscard]] Counters counters() const;

 private:
  class Impl;
  explicit TcpListener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace ztna::io
