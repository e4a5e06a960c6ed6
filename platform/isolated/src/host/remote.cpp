// Chips of nodes on other machines: how one of them is reached.
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "host/host.hpp"
#include "net/net.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/nodes.hpp"
#include "troupe/runtime/longest_wait.hpp"

namespace troupe::platform {
namespace isolation {
namespace {

class Connection final : public Peer {
 public:
  Connection(std::unique_ptr<Stream> stream, std::string address, std::int64_t clock_ahead_ns,
             std::uint64_t silence_ns, OpenBulk bulk)
      : stream_(std::move(stream)),
        address_(std::move(address)),
        clock_ahead_ns_(clock_ahead_ns),
        silence_ns_(silence_ns),
        bulk_(std::move(bulk)) {}
  OpenBulk bulk() const override { return bulk_; }
  std::int64_t clock_ahead_ns() const override { return clock_ahead_ns_; }
  std::uint64_t silence_ns() const override { return silence_ns_; }
  std::unique_ptr<Stream> take_stream() override { return std::move(stream_); }
  std::string end(bool) override { return "the connection to " + address_ + " was lost"; }

 private:
  std::unique_ptr<Stream> stream_;
  const std::string address_;
  const std::int64_t clock_ahead_ns_;
  const std::uint64_t silence_ns_;
  const OpenBulk bulk_;
};

struct Welcomed {
  std::unique_ptr<Stream> stream;
  NodeFacts facts;
  std::int64_t clock_ahead_ns = 0;
  std::uint64_t silence_ns = 0;
  Token token = {};
};

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

/// Connects, and says who asks for what.
Result<Welcomed> knock(const RemoteNode& node, Claim claim) {
  const auto until = std::chrono::steady_clock::now() + runtime::bounded(node.patience);
  const auto failed = [&](const Error& error) {
    return Error(Errc::system, "node " + node.address + ": " + error.message(), error.hint());
  };
  const auto address = read_address(node.address);
  if (!address) return address.error();
  std::shared_ptr<Security> security;
  if (!address->is_local) {
    auto made = security_of(node.credentials, false);
    if (!made) return made.error();
    security = *std::move(made);
  }
  auto socket = connect_to(*address, until);
  if (!socket) return failed(socket.error());
  Welcomed welcomed;
  if (security) {
    auto secure = security->connect(*std::move(socket), address->host, until);
    if (!secure) return failed(secure.error());
    welcomed.stream = *std::move(secure);
  } else {
    if (!is_own_user(socket->get())) return failed(Error(Errc::system, "somebody else listens there"));
    welcomed.stream = plain_stream(*std::move(socket));
  }
  const auto build = this_build();
  std::memcpy(claim.build, build.build, sizeof claim.build);
  claim.silence_ms = static_cast<std::uint64_t>(node.silence.count());
  Writer words;
  words.put(claim).text(node.address);
  const auto asked = now_ns();
  if (auto sent = send_frame(*welcomed.stream, Kind::claim, words, until); !sent) return failed(sent.error());
  const auto frame = receive_frame(*welcomed.stream, until);
  if (!frame) return failed(frame.error());
  Reader reader(frame->payload);
  const auto welcome = reader.get<Welcome>();
  const std::string refusal(reader.text());
  welcomed.facts.platform = reader.text();
  // It was read in the middle of the way there and back, or nearly so; of the same clock that may be.
  const auto there_and_back = now_ns() - asked;
  welcomed.clock_ahead_ns = static_cast<std::int64_t>(welcome.now_ns - (asked + there_and_back / 2));
  const auto unsure = static_cast<std::int64_t>(there_and_back);
  if (welcomed.clock_ahead_ns <= unsure && welcomed.clock_ahead_ns >= -unsure) welcomed.clock_ahead_ns = 0;
  welcomed.facts.chips = static_cast<int>(welcome.chips);
  welcomed.token = welcome.token;
  // Whether it is less patient than this end; it may say anything.
  constexpr std::uint64_t hour_ms = 3'600'000;
  welcomed.silence_ns = std::min({welcome.silence_ms, claim.silence_ms, hour_ms}) * 1'000'000;
  if (!refusal.empty()) {
    const auto code = static_cast<Errc>(welcome.code);
    const bool is_one = error_name(code) != "unknown_platform_code";
    return Error(is_one ? code : Errc::system, "node " + node.address + ": " + refusal);
  }
  if (frame->kind != Kind::welcome || is_another_build(welcome)) {
    return Error(Errc::version_mismatch, "node " + node.address + " is of another version of troupe");
  }
  constexpr std::uint32_t most_chips = 1U << 16U;
  if (!reader.complete() || welcome.chips > most_chips)
    return failed(Error(Errc::internal, "a welcome that cannot be read"));
  return welcomed;
}

}  // namespace
}  // namespace isolation

using namespace isolation;

PodNumber new_pod_number() {
  PodNumber number;
  // Never short for so few bytes; and a number that is not random is still one.
  (void)!::getrandom(&number, sizeof number, 0);
  return number;
}

Result<NodeFacts> describe_node(const RemoteNode& node) {
  const auto welcomed = knock(node, Claim{});
  if (!welcomed) return welcomed.error();
  return welcomed->facts;
}

Result<DeviceApi> remote(RemoteChip chip) {
  auto address = read_address(chip.node.address);
  if (!address) return address.error();
  auto settings = std::make_shared<Settings>();
  settings->library = chip.node.address;
  settings->address = chip.node.address;
  settings->options.where = chip.where + (chip.where.empty() ? "" : " ") + "(chip " +
                            std::to_string(chip.chip) + " of " + chip.node.address + ")";
  settings->silence_ns = static_cast<std::uint64_t>(runtime::bounded(chip.node.silence).count());
  settings->modules = std::make_shared<ModuleFiles>();
  settings->reach = [chip = std::move(chip)]() -> Result<std::unique_ptr<Peer>> {
    Claim claim;
    claim.chip = chip.chip < 0 ? Claim::any_chip : chip.chip;
    std::memcpy(claim.pod.data(), &chip.pod, sizeof chip.pod);
    auto welcomed = knock(chip.node, claim);
    if (!welcomed) return welcomed.error();
    auto bulk = [node = chip.node, token = welcomed->token](Way way) -> Result<std::unique_ptr<Stream>> {
      Claim further;
      further.chip = way == Way::to_device ? Claim::to_device : Claim::from_device;
      further.token = token;
      auto joined = knock(node, further);
      if (!joined) return joined.error();
      joined->stream->gather();
      return std::move(joined->stream);
    };
    return std::unique_ptr<Peer>(std::make_unique<Connection>(std::move(welcomed->stream), chip.node.address,
                                                              welcomed->clock_ahead_ns, welcomed->silence_ns,
                                                              std::move(bulk)));
  };
  auto api = table_for(std::move(settings));
  // Rank programs meet at a path, which is another one there.
  api.comm_init = nullptr;
  api.comm_alloc_windows = nullptr;
  api.comm_get_local_window_base = nullptr;
  api.comm_get_window_size = nullptr;
  api.comm_barrier = nullptr;
  api.comm_destroy = nullptr;
  api.comm_abort = nullptr;
  return api;
}

}  // namespace troupe::platform
