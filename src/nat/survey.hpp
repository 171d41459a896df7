// Finds out what a network does to UDP of one address family: which STUN requests go from which
// socket to which address (RFC 5780 §4), and what their answers, or silence, say.
//
// It asks one server first, and nothing else before the filter tests: a socket's (and on some
// gateways a host's) earlier packets open filters. A server with OTHER-ADDRESS gives the full
// result; one with a second port, told by RFC 3489's CHANGED-ADDRESS or given by the user, most of
// it; any other STUN server tells the public address. What could not be told is not guessed.
//
// Pure. The caller owns the sockets: it binds socket_count() of them, each to a port of its own,
// and calls transmit() until it gives nothing after the constructor, receive() and expire().
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/datagram.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "nat/behaviour.hpp"
#include "wire/stun.hpp"

namespace ztna::nat {

// `sizes_and_hairpin` are asked together: neither disturbs the other, and both end in silence.
enum class SurveyStep : std::uint8_t {
  reach,
  filters,
  mappings,
  sizes_and_hairpin,
  lifetime,
  done
};

// The longest silence that a mapping survived, and the shortest that it did not; 0: none seen.
struct MappingLifetime {
  base::Duration at_least{}, less_than{};
};

struct SurveyReport {
  struct Asked {
    base::Address server;
    std::optional<base::Address> mapped;  // nothing: no answer
    std::optional<base::Duration> rtt;    // of an answer to the first transmission
  };
  [[nodiscard]] bool udp() const { return primary.has_value(); }

  std::optional<base::Address> primary;  // the first server that answered
  std::vector<Asked> asked;              // from the first socket, in this order
  Observations seen;
  // The largest IP packet that made the way there and back unfragmented, and the smallest of those
  // tried that did not. Nothing also when the server returns no padding.
  std::optional<std::uint16_t> mtu, too_large;
  std::optional<MappingLifetime> lifetime;  // nothing: not asked for, or the server cannot help
};

class Survey {
 public:
  struct Config {
    std::vector<base::Address> servers;  // of one family, the preferred first, not empty
    base::Duration longest_lifetime{};   // silence to try up to; 0: lifetimes are not measured
  };
  struct Transmit {
    base::SocketId socket = 0;  // 0 … socket_count() - 1
    base::Address to;
    base::Bytes payload;
  };

  // `random` outlives the survey.
  Survey(Config config, base::Random& random, base::Time now);

  [[nodiscard]] std::size_t socket_count() const { return 2 + lifetimes_.size(); }
  // Anything may come; what answers none of the requests is ignored.
  void receive(const base::Incoming& packet, base::Time now);
  void expire(base::Time now);
  [[nodiscard]] std::optional<Transmit> transmit();
  [[nodiscard]] base::Time next_deadline() const;  // never when done

  [[nodiscard]] SurveyStep step() const { return step_; }
  [[nodiscard]] bool done() const { return step_ == SurveyStep::done; }
  [[nodiscard]] const SurveyReport& report() const { return report_; }

 private:
  enum class Purpose : std::uint8_t {
    reach,
    classic,      // in RFC 3489's form, whose answer names another port
    filter_base,  // what opens the filter towards the first server
    filter,       // an answer from elsewhere
    mapping,
    size,          // padded
    hairpin,       // to the other socket's mapped address; its arrival is the answer
    open_mapping,  // of a socket that is silent from then on
    still_mapped,  // asks for an answer to that socket
  };
  struct Request {
    wire::stun::TransactionId id;
    Purpose purpose = Purpose::reach;
    base::SocketId socket = 0;
    base::Address to;
    std::uint32_t change = 0;  // flags of CHANGE-REQUEST
    std::size_t index = 0;     // of a size or of a lifetime
    base::Bytes message;
    unsigned sent = 0;
    base::Time first_sent{}, next{};
  };
  struct FilterTest {
    FilterSeen seen;
    base::Address alternate;  // who was asked to answer
  };
  struct Silence {
    base::Duration length{};
    std::uint16_t mapped_port = 0;
  };

  Request& add(Purpose purpose, base::SocketId socket, const base::Address& to, base::Time now);
  void write(Request& request) const;
  void send(Request& request, base::Time now);
  [[nodiscard]] static bool answers(const Request& request, const base::Incoming& packet,
                                    const wire::stun::Message& message);
  void on_answer(const Request& request, const base::Incoming& packet,
                 const wire::stun::Message& answer, base::Time now);
  void on_mapped(const Request& request, const base::Incoming& packet,
                 const wire::stun::Message& answer, base::Time now);
  void on_filter_answer(const Request& request, const base::Incoming& packet,
                        const wire::stun::Message& answer);
  void on_lifetime_answer(const Request& request, const base::Incoming& packet,
                          const wire::stun::Message& answer);
  void on_silence(const Request& request, base::Time now);
  void learn(const base::Address& server, const std::optional<base::Address>& other);
  void add_target(const base::Address& address);

  // Begins the steps that follow, up to one that has something to wait for.
  void advance(base::Time now);
  void begin_filters(base::Time now);
  void ask_targets(base::Time now);
  void settle_filters();
  void begin_sizes(base::Time now);
  void settle_sizes();
  void begin_hairpin(base::Time now);
  void settle_hairpin();
  void begin_lifetime(base::Time now);
  [[nodiscard]] std::optional<base::Address> mapped_of(base::SocketId socket) const;

  Config config_;
  base::Random& random_;
  SurveyStep step_ = SurveyStep::reach;
  std::deque<Request> requests_;  // unanswered; references stay valid while others are added
  std::deque<Transmit> out_;
  SurveyReport report_;
  std::vector<base::Address> targets_;  // that the first socket asks, the asked ones first
  std::size_t targets_asked_ = 0;
  std::optional<base::Address> other_address_, other_port_;  // of the first server
  std::vector<FilterTest> filter_tests_;
  std::size_t plain_answer_size_ = 0;
  std::vector<std::uint16_t> sizes_passed_;
  std::vector<Silence> lifetimes_;  // one for each socket from 2 on, ascending
};

}  // namespace ztna::nat
