// A node: who comes to its door, and who holds its chips.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "net/net.hpp"
#include "node/node.hpp"
#include "node/start_checks.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/runtime/longest_wait.hpp"

namespace troupe::platform {

using namespace isolation;

namespace {

/// At the door at once: more are sent away before anything is done for them.
constexpr int most_at_the_door = 64;
constexpr auto time_at_the_door = std::chrono::seconds(5);
/// A new guest waits at most so long until the connection and the tasks of the one before have ended; it
/// would not wait longer itself.
constexpr auto time_for_leaving = std::chrono::seconds(2);

std::uint64_t random_number() {
  std::uint64_t number = 0;
  (void)!::getrandom(&number, sizeof number, 0);
  return number;
}

bool is_among(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

struct NodeServer::Parts {
  struct Guest {
    std::string from, name = "this user";
    std::unique_ptr<Stream> stream;
    Claim claim;
    bool said_all = false;
    std::string calls_it;
    std::chrono::nanoseconds silence{};
    std::optional<Error> refusal;
  };
  explicit Parts(NodeOptions with)
      : options(std::move(with)), rooms{{},
                                        {},
                                        static_cast<std::uint64_t>(runtime::bounded(options.silence).count()),
                                        options.log,
                                        {},
                                        WindowMemory(random_number())} {}
  ~Parts() { end(); }

  Result<void> open();
  void end();
  void listen_on();
  void send_one_away();
  void at_the_door(comm::FileDescriptor socket);
  Result<void> recognise(comm::FileDescriptor socket, Deadline until, Guest& guest) const;
  std::optional<Error> refusal_of(const Guest& guest) const;
  void log_refusal(const Guest& guest) const;
  bool greet(Stream& stream, const std::optional<Error>& refusal, Deadline until, const Token& token = {});
  void join(Guest& guest, Deadline until);
  void let_in(Guest& guest, Deadline until);
  std::optional<Error> take(Guest& guest, Relay& relay, Deadline until);
  bool is_free_for(const Guest& guest) const;
  void give_back(const Guest& guest, const Relay& relay);
  void log(const std::string& text) const {
    if (options.log) options.log(text);
  }

  NodeOptions options;
  NodeRooms rooms;
  Address address;
  std::string address_text;
  std::shared_ptr<Security> security;
  comm::FileDescriptor listening, stop, spare;
  bool short_of_descriptors = false;  ///< of the thread that listens
  FileMark socket_file;
  std::atomic<int> at_door{0};

  mutable std::mutex mutex;
  std::condition_variable changed;
  bool ending = false;
  std::array<std::uint8_t, 16> pod{};  ///< who holds it
  std::string holder;
  std::map<int, Relay*> taken;  ///< by chip
  HostThreads threads;          ///< the last: it waits for them
};

Result<void> NodeServer::Parts::open() {
  auto where = read_address(options.listen);
  if (!where) return where.error();
  address = *std::move(where);
  if (!address.is_local) {
    auto made = security_of(options.credentials, true);
    if (!made) return made.error();
    security = *std::move(made);
    if (options.allowed.empty()) {
      return Error(Errc::invalid_argument, "nobody is allowed to use the node",
                   "--allow NAME, as on their certificates");
    }
  }
  for (const auto& name : options.may_ship) {
    if (security && !is_among(options.allowed, name))
      return Error(Errc::invalid_argument, "'" + name + "' may send code, but is not allowed to use the node",
                   "--allow " + name);
  }
  const auto library = DeviceLibrary::open(options.platform);
  if (!library) return library.error();
  rooms.library = library->path();
  auto program = options.program.empty() ? chip_program() : Result<std::string>(options.program);
  if (!program) return program.error();
  rooms.start_chip = [program = *std::move(program)] { return Child::start(program); };
  for (const auto& file : options.modules) {
    if (auto read = rooms.modules.read(file); !read) return read;
  }
  if (auto fine = can_serve(options, rooms.library); !fine) return fine;
  stop.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  spare.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!stop.valid() || !spare.valid()) return Error(Errc::system, "too few descriptors", "ulimit -n");
  auto socket = listen_at(address);
  if (!socket) return socket.error();
  listening = *std::move(socket);
  if (address.is_local) socket_file = mark_of(address.host);
  address_text = address.text();
  const bool started = threads.start_thread(
      "troupe-node", [](void* self) { static_cast<Parts*>(self)->listen_on(); }, this);
  if (!started) return Error(Errc::system, "no thread for a node", "ulimit -u");
  return {};
}

void NodeServer::Parts::end() {
  {
    const std::lock_guard lock(mutex);
    ending = true;
    for (auto& [chip, relay] : taken) relay->end();
  }
  changed.notify_all();
  const std::uint64_t one = 1;
  if (stop.valid()) (void)!::write(stop.get(), &one, sizeof one);
  // Its name may be another's by now.
  if (address.is_local && listening.valid() && mark_of(address.host) == socket_file)
    (void)::unlink(address.host.c_str());
}

void NodeServer::Parts::listen_on() {
  std::array<pollfd, 2> waiting{{{listening.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}}};
  struct Knock {
    Parts* node;
    comm::FileDescriptor socket;
  };
  for (;;) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) break;
    if (waiting[1].revents != 0) break;
    comm::FileDescriptor socket(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      if (errno == EMFILE || errno == ENFILE) send_one_away();
      continue;
    }
    short_of_descriptors = false;
    if (at_door.load() >= most_at_the_door) continue;
    ++at_door;
    auto knock = std::make_unique<Knock>(Knock{this, std::move(socket)});
    const bool started = threads.start_thread(
        "troupe-guest",
        [](void* argument) {
          const std::unique_ptr<Knock> own(static_cast<Knock*>(argument));
          own->node->at_the_door(std::move(own->socket));
        },
        knock.get());
    if (started) {
      (void)knock.release();
    } else {
      --at_door;
    }
  }
}

/// There is no descriptor for who knocks: it hears at once that it cannot come in, and the node's owner why.
void NodeServer::Parts::send_one_away() {
  if (!std::exchange(short_of_descriptors, true))
    log("sends guests away: " + too_few_descriptors().message());
  spare.reset();
  comm::FileDescriptor(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  spare.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  // Somebody else may have been faster: not asked for over and over.
  pollfd over{stop.get(), POLLIN, 0};
  if (!spare.valid()) (void)::poll(&over, 1, 100);
}

/// Who it is, and what it wants, within a few seconds.
void NodeServer::Parts::at_the_door(comm::FileDescriptor socket) {
  const auto until = std::chrono::steady_clock::now() + time_at_the_door;
  Guest guest;
  guest.from = peer_of(socket.get());
  const auto known = recognise(std::move(socket), until, guest);
  if (!known) {
    log("sent away " + guest.from + ": " + known.error().message());
    --at_door;
    return;
  }
  guest.refusal = refusal_of(guest);
  if (guest.claim.chip <= Claim::to_device && !guest.refusal) return join(guest, until);
  if (guest.claim.chip != Claim::only_asks && !guest.refusal) return let_in(guest, until);
  if (guest.refusal) log_refusal(guest);
  (void)greet(*guest.stream, guest.refusal, until);
  --at_door;
}

Result<void> NodeServer::Parts::recognise(comm::FileDescriptor socket, Deadline until, Guest& guest) const {
  if (address.is_local) {
    if (!is_own_user(socket.get())) return Error(Errc::system, "another user");
    guest.stream = plain_stream(std::move(socket));
  } else {
    auto accepted = security->accept(std::move(socket), until);
    if (!accepted) return accepted.error();
    guest.stream = std::move(accepted->stream);
    guest.name = std::move(accepted->name);
  }
  const auto frame = receive_frame(*guest.stream, until);
  if (!frame) return frame.error();
  Reader reader(frame->payload);
  guest.claim = reader.get<Claim>();
  guest.calls_it = reader.text().substr(0, 256);
  if (frame->kind != Kind::claim || frame->payload.size() < sizeof(Claim))
    return Error(Errc::internal, "it said something wrong");
  guest.said_all = reader.complete();
  return {};
}

/// None: it may come in.
std::optional<Error> NodeServer::Parts::refusal_of(const Guest& guest) const {
  if (!address.is_local && !is_among(options.allowed, guest.name)) {
    return Error(Errc::system,
                 "'" + guest.name + "' is not allowed to use it (the node says who is with --allow NAME)");
  }
  if (!guest.said_all || is_another_build(guest.claim)) {
    return Error(Errc::version_mismatch,
                 "it is of another version of troupe, " + std::string(this_build().build));
  }
  if (guest.claim.chip >= options.chips || guest.claim.chip < Claim::from_device) {
    return Error(Errc::no_such_device, "it has " + std::to_string(options.chips) + " chips, number " +
                                           std::to_string(guest.claim.chip) + " is none of them");
  }
  return std::nullopt;
}

void NodeServer::Parts::log_refusal(const Guest& guest) const {
  log("refused " + guest.name + " from " + guest.from + ": " + guest.refusal->message());
}

/// A further connection of a guest that has a chip.
void NodeServer::Parts::join(Guest& guest, Deadline until) {
  const auto way = guest.claim.chip == Claim::to_device ? Way::to_device : Way::from_device;
  Relay* relay = nullptr;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [chip, one] : taken) {
      if (relay == nullptr && guest.name == holder && one->lends(guest.claim.token, way)) relay = one;
    }
  }
  if (relay == nullptr) guest.refusal = Error(Errc::system, "it has no chip that such a connection is for");
  const bool greeted = greet(*guest.stream, guest.refusal, until);
  --at_door;
  if (relay == nullptr) return log_refusal(guest);
  relay->serve_bytes(way, greeted ? std::move(guest.stream) : nullptr);
}

bool NodeServer::Parts::greet(Stream& stream, const std::optional<Error>& refusal, Deadline until,
                              const Token& token) {
  Welcome welcome;
  if (refusal) welcome.code = refusal->code().value;
  const auto build = this_build();
  std::memcpy(welcome.build, build.build, sizeof welcome.build);
  welcome.node = rooms.windows.node();
  welcome.chips = static_cast<std::uint32_t>(options.chips);
  welcome.now_ns = threads.now();
  welcome.silence_ms = rooms.silence_ns / 1'000'000;
  if (!refusal) welcome.token = token;
  Writer words;
  words.put(welcome).text(refusal ? refusal->message() : "").text(options.platform);
  return send_frame(stream, Kind::welcome, words, until).has_value();
}

/// It gets its chip, until one of both has gone.
void NodeServer::Parts::let_in(Guest& guest, Deadline until) {
  constexpr std::uint64_t least_silence = 50'000'000;
  const auto wanted = std::min<std::uint64_t>(guest.claim.silence_ms, 3'600'000) * 1'000'000;
  const auto silence = std::max(least_silence, std::min(rooms.silence_ns, wanted));
  guest.silence = std::chrono::nanoseconds(silence);
  const bool may_ship = address.is_local || is_among(options.may_ship, guest.name);
  auto* const stream = guest.stream.get();
  Relay relay(rooms, std::move(guest.stream), silence, guest.calls_it, may_ship);
  guest.refusal = relay.is_there() ? take(guest, relay, until) : too_few_descriptors();
  const bool greeted = greet(*stream, guest.refusal, until, relay.token());  // before anything else is said
  --at_door;
  if (guest.refusal) return log_refusal(guest);
  const bool started =
      greeted &&
      threads.start_thread(
          "troupe-relay", [](void* argument) { static_cast<Relay*>(argument)->serve_chip(); }, &relay);
  if (started) relay.serve_program();
  give_back(guest, relay);
}

bool NodeServer::Parts::is_free_for(const Guest& guest) const {
  return taken.empty() || (guest.claim.pod == pod && guest.name == holder);
}

/// None: the chip is the guest's. One that the same program had in an earlier life ends before.
std::optional<Error> NodeServer::Parts::take(Guest& guest, Relay& relay, Deadline until) {
  const auto most = std::min<std::chrono::nanoseconds>(guest.silence, time_for_leaving);
  until = std::min(until, std::chrono::steady_clock::now() + most);
  std::unique_lock lock(mutex);
  auto& chip = guest.claim.chip;
  if (!is_free_for(guest)) {
    // Who has it may have gone, which is heard a moment later.
    const auto in_use = "in use by '" + holder + "'" + (guest.name == holder ? ", for another program" : "");
    lock.unlock();
    log("'" + guest.name + "' from " + guest.from + " waits: it is " + in_use);
    lock.lock();
    if (!changed.wait_until(lock, until, [&] { return ending || is_free_for(guest); }))
      return Error(Errc::busy, "it is " + in_use);
  }
  for (int free = 0; chip == Claim::any_chip && free < options.chips; ++free) {
    if (!taken.contains(free)) chip = free;
  }
  if (chip == Claim::any_chip) return Error(Errc::busy, "none of its chips is free");
  if (const auto before = taken.find(chip); before != taken.end()) before->second->end();
  if (!changed.wait_until(lock, until, [&] { return ending || !taken.contains(chip); })) {
    return Error(Errc::busy, "chip " + std::to_string(chip) +
                                 " did not end what ran there for this program before within " +
                                 std::to_string(std::chrono::ceil<std::chrono::milliseconds>(most).count()) +
                                 " ms");
  }
  if (ending) return Error(Errc::busy, "it is ending");
  if (!is_free_for(guest)) return Error(Errc::busy, "it is in use by '" + holder + "'");
  const bool first = taken.empty();
  pod = guest.claim.pod;
  holder = guest.name;
  taken[chip] = &relay;
  relay.is_chip(options.first_device + chip, options.first_device + options.chips);
  lock.unlock();  // who reads the log may be slow
  if (first) log("in use by '" + guest.name + "' from " + guest.from);
  return std::nullopt;
}

void NodeServer::Parts::give_back(const Guest& guest, const Relay& relay) {
  std::unique_lock lock(mutex);
  if (const auto found = taken.find(guest.claim.chip); found != taken.end() && found->second == &relay)
    taken.erase(found);
  const bool last = taken.empty();
  if (last) rooms.modules.forget_shipped();
  changed.notify_all();
  lock.unlock();
  if (last) log("free");
}

NodeServer::NodeServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
NodeServer::~NodeServer() = default;

Result<std::unique_ptr<NodeServer>> NodeServer::start(NodeOptions options) {
  auto parts = std::make_unique<Parts>(std::move(options));
  if (auto opened = parts->open(); !opened) return opened.error();
  return std::unique_ptr<NodeServer>(new NodeServer(std::move(parts)));
}

const std::string& NodeServer::address() const { return parts_->address_text; }

int NodeServer::chips_in_use() const {
  const std::lock_guard lock(parts_->mutex);
  return static_cast<int>(parts_->taken.size());
}

}  // namespace troupe::platform
