#include "meeting/session.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <thread>

#include "meeting/connection.hpp"
#include "meeting/hub.hpp"
#include "system_error.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::comm {

namespace asio = boost::asio;

namespace {

// Between taking a name and listening at it a hub is deaf for an instant; how long until we look again.
constexpr std::chrono::milliseconds deaf_hub_retry{1};

// After a deadline, how long the hub may take to say who is missing: it is asked over a local socket. Only a
// hub that is stopped takes longer.
constexpr std::chrono::milliseconds hub_answer{1000};

constexpr MeetingHub::Connection own_connection = 0;

/// Carries messages between the hub and the member of the same rank, through the context's queue.
class LocalLink final : public Link {
 public:
  using Deliver = std::function<void(const Message&, Descriptors)>;
  LocalLink(asio::io_context& io, Deliver deliver) : io_(io), deliver_(std::move(deliver)) {}

  void send(const Message& message, std::span<const int> descriptors) override {
    auto copies = std::make_shared<Descriptors>();
    for (const int fd : descriptors) copies->emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    asio::post(io_, [this, message, copies] { deliver_(message, std::move(*copies)); });
  }
  using Link::send;

 private:
  asio::io_context& io_;
  Deliver deliver_;
};

}  // namespace

struct Session::Impl {
  Impl(MeetingTerms its_terms, std::string meeting, const Environment& its_environment)
      : terms(its_terms),
        address{static_cast<std::uint32_t>(::geteuid()), std::move(meeting)},
        environment(its_environment),
        deadline(io),
        retry(io),
        listener(io),
        to_hub(io,
               [this](const Message& m, Descriptors d) {
                 hub->received(own_connection, to_member, m, std::move(d));
                 after_hub();
               }),
        to_member(io, [this](const Message& m, Descriptors d) { member->received(m, std::move(d)); }) {}

  MeetingTerms terms;
  MeetingAddress address;
  const Environment& environment;
  asio::io_context io;
  asio::steady_timer deadline, retry;
  asio::posix::stream_descriptor listener;
  LocalLink to_hub, to_member;
  std::map<MeetingHub::Connection, std::unique_ptr<Connection>> connections;
  MeetingHub::Connection last_connection = own_connection;
  std::optional<MeetingHub> hub;
  std::optional<MeetingMember> member;
  std::optional<Error> failure;  ///< before there was a member
  DomainMember domain;
  std::vector<std::uint32_t> gone;  ///< connections that ended before the watch began
  std::atomic<bool> watching = false;
  std::thread watcher;

  bool ended() const { return failure || (member && member->ended() && (!hub || hub->ended())); }

  Result<void> meet(Deadline until);
  void join();
  void be_hub(FileDescriptor socket);
  void be_joiner(FileDescriptor socket);
  void accept();
  void accept_all();
  void hub_connection_closed(MeetingHub::Connection id);
  void after_hub();
  void give_up(Errc why);
  void lost(std::uint32_t rank);
  Result<void> watch();
};

// Whoever takes the name first is the hub. When the name is taken but nobody answers, its owner is about to
// listen or has just finished with another group: the name is tried again.
void Session::Impl::join() {
  if (terms.ranks == 1) return be_hub({});
  auto listening = listen_at(address);
  if (!listening) {
    failure = listening.error();
    return;
  }
  if (listening->valid()) return be_hub(std::move(*listening));
  auto connected = connect_to(address);
  if (!connected) {
    failure = connected.error();
    return;
  }
  if (connected->valid()) return be_joiner(std::move(*connected));
  retry.expires_after(deaf_hub_retry);
  retry.async_wait([this](const boost::system::error_code& error) {
    if (!error && !ended()) join();
  });
}

void Session::Impl::be_hub(FileDescriptor socket) {
  auto id = DomainId::fresh();
  if (!id) {
    failure = id.error();
    return;
  }
  hub.emplace(terms, *id, 1);
  member.emplace(terms, environment, to_hub);
  member->start();
  if (!socket.valid()) return;
  listener.assign(socket.release());
  accept();
}

void Session::Impl::accept() {
  listener.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (error || !listener.is_open()) return;
                        accept_all();
                        after_hub();
                        accept();
                      });
}

void Session::Impl::accept_all() {
  for (;;) {
    auto accepted = accept_from(listener.native_handle(), address.user);
    // Out of descriptors: the newcomer stays in the queue and would be announced for ever.
    if (!accepted) return hub->break_off(accepted.error());
    FileDescriptor socket = std::move(*accepted);
    if (!socket.valid()) return;
    const MeetingHub::Connection id = ++last_connection;
    auto& connection = connections[id] = std::make_unique<Connection>(io, std::move(socket));
    Link* link = connection.get();
    connection->start({.packet =
                           [this, id, link](Result<Message> message, Descriptors descriptors) {
                             if (message)
                               hub->received(id, *link, *message, std::move(descriptors));
                             else
                               hub->rejected(id, *link, message.error());
                             after_hub();
                           },
                       .closed = [this, id] { hub_connection_closed(id); }});
  }
}

void Session::Impl::hub_connection_closed(MeetingHub::Connection id) {
  if (const auto rank = hub->rank_of(id)) lost(*rank);
  if (!watching) {
    hub->closed(id);
    after_hub();
  }
  asio::post(io, [this, id] { connections.erase(id); });
}

/// The name is free again as soon as all are here: another group may use it while this one works. Who is
/// in the queue by then gets an answer instead of a dead line.
void Session::Impl::after_hub() {
  if (hub->gathering() || !listener.is_open()) return;
  accept_all();
  listener.close();
  for (const auto& [id, connection] : connections)
    if (!hub->rank_of(id)) hub->turn_away(*connection);
}

void Session::Impl::be_joiner(FileDescriptor socket) {
  auto& connection = connections[++last_connection] = std::make_unique<Connection>(io, std::move(socket));
  member.emplace(terms, environment, *connection);
  connection->start({.packet =
                         [this](Result<Message> message, Descriptors descriptors) {
                           if (watching) return;  // a hub has nothing to say after commit
                           if (message) return member->received(*message, std::move(descriptors));
                           member->give_up(Errc::aborted);
                           failure = message.error();
                         },
                     .closed =
                         [this] {
                           lost(member->hub_rank());
                           if (!watching) member->hub_closed();
                         }});
  member->start();
}

void Session::Impl::give_up(Errc why) {
  if (hub) {
    hub->give_up(why);
    after_hub();
  } else if (member) {
    member->give_up(why);
    deadline.expires_after(hub_answer);
    deadline.async_wait([this](const boost::system::error_code& error) {
      if (!error && !ended()) member->unanswered();
    });
  } else {
    failure = why == Errc::aborted ? Error(why, "the communicator was aborted")
                                   : Error(why, "the rank that came first did not answer in time");
  }
}

/// A peer may die after it has committed and before we have: then the watch begins with bad news.
void Session::Impl::lost(std::uint32_t rank) {
  if (watching)
    domain.mark_lost(rank);
  else
    gone.push_back(rank);
}

/// One thread that sleeps in epoll until a peer's end of a connection goes away.
Result<void> Session::Impl::watch() {
  watching = true;
  for (const std::uint32_t rank : gone) domain.mark_lost(rank);
  if (connections.empty()) return {};
  try {
    watcher = std::thread([this] {
      try {
        io.run();
      } catch (...) {
        domain.abort();  // a domain that nobody watches must not look alive
      }
    });
  } catch (const std::system_error& error) {
    watching = false;
    return system_error("starting the thread that watches the peers", error.code().value(), threads_hint());
  }
  return {};
}

Session::Session(MeetingTerms terms, std::string meeting, const Environment& environment)
    : impl_(std::make_unique<Impl>(terms, std::move(meeting), environment)) {}

Session::~Session() { close(); }

DomainMember& Session::domain() noexcept { return impl_->domain; }

Result<void> Session::meet(Deadline until) {
  try {
    return impl_->meet(until);
  } catch (const std::exception& error) {  // Asio throws where the system refuses
    return Error(Errc::system, "meeting the other ranks: " + runtime::text_of(error));
  }
}

Result<void> Session::Impl::meet(Deadline until) {
  if (until != never) {
    deadline.expires_at(until);
    deadline.async_wait([this](const boost::system::error_code& error) {
      if (!error && !ended()) give_up(Errc::deadline);
    });
  }
  asio::post(io, [this] {
    if (!ended()) join();
  });
  const auto work = asio::make_work_guard(io);
  while (!ended()) io.run_one();
  deadline.cancel();
  retry.cancel();
  const std::optional<Error> error = failure ? failure : (member->error() ? member->error() : std::nullopt);
  if (error) return *error;
  domain = member->take_domain();
  return watch();
}

void Session::abort() noexcept {
  Impl& impl = *impl_;
  if (impl.watching) return impl.domain.abort();
  asio::post(impl.io, [&impl] {
    if (impl.watching) return impl.domain.abort();
    if (!impl.ended()) impl.give_up(Errc::aborted);
  });
}

void Session::close() noexcept {
  Impl& impl = *impl_;
  impl.io.stop();
  if (impl.watcher.joinable()) impl.watcher.join();
  // Release comes before hanging up: peers that still wait learn that this rank left, not that it died.
  impl.domain.release();
  impl.connections.clear();
  if (impl.listener.is_open()) impl.listener.close();
}

}  // namespace troupe::comm
