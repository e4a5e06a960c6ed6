#include "troupe/comm/communicator.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "meeting/session.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::comm {

Result<CommOptions> CommOptions::from_environment() {
  CommOptions options;
  // Troupe never changes its environment. A program that does so while another of its threads is here races
  // with this reader like with every other. NOLINTNEXTLINE(concurrency-mt-unsafe): see above
  const char* text = std::getenv("TROUPE_COMM_TIMEOUT");
  if (text == nullptr || *text == '\0') return options;
  double seconds = 0;
  const char* end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, seconds);
  // A year is as good as for ever and far from overflowing the clock.
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(seconds) || seconds < 0 ||
      seconds > 31'536'000)
    return Error(Errc::bad_config,
                 "TROUPE_COMM_TIMEOUT=\"" + std::string(text) + "\" is no number of seconds",
                 "for example 120 or 0.5");
  options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  return options;
}

struct Communicator::Impl {
  MeetingTerms terms;
  std::string meeting;
  CommOptions options;
  const Environment& environment;

  std::mutex mutex;  ///< abort() may come from any thread, while the session comes and goes
  std::unique_ptr<Session> session;
  bool abort_wanted = false;
  bool ready = false;  ///< between alloc_windows and destroy
  bool destroyed = false;
  DomainMember nothing;

  Deadline deadline() const { return environment.now() + options.timeout; }
  DomainMember& domain() noexcept { return ready ? session->domain() : nothing; }
  Error inside(const Error& error) const {
    return error.inside("communicator \"" + meeting + "\" rank " + std::to_string(terms.rank));
  }
  void drop_session() noexcept {
    const std::lock_guard lock(mutex);
    session.reset();
    ready = false;
  }
};

Communicator::Communicator(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;
Communicator::~Communicator() = default;

Result<Communicator> Communicator::init(std::uint32_t rank, std::uint32_t ranks, std::string meeting,
                                        CommOptions options, const Environment& environment) {
  if (auto valid =
          validate(WindowSpec{.domain = {}, .generation = 0, .rank = rank, .ranks = ranks, .bytes = 0});
      !valid)
    return valid.error();
  if (meeting.empty())
    return Error(Errc::bad_argument, "a communicator needs the name of its meeting",
                 "any text that all ranks share, for example the path of the job's directory");
  if (options.timeout < std::chrono::milliseconds::zero() || options.timeout > std::chrono::hours(8760))
    return Error(Errc::bad_config, "a timeout of " + std::to_string(options.timeout.count()) + " ms");
  return Communicator(std::unique_ptr<Impl>(new Impl{.terms = {rank, ranks, 0},
                                                     .meeting = std::move(meeting),
                                                     .options = options,
                                                     .environment = environment,
                                                     .mutex = {},
                                                     .session = nullptr,
                                                     .nothing = {}}));
}

Result<Communicator> Communicator::init(std::uint32_t rank, std::uint32_t ranks, std::string meeting) {
  auto options = CommOptions::from_environment();
  if (!options) return options.error();
  return init(rank, ranks, std::move(meeting), *options);
}

std::uint32_t Communicator::rank() const noexcept { return impl_->terms.rank; }
std::uint32_t Communicator::ranks() const noexcept { return impl_->terms.ranks; }
const CommOptions& Communicator::options() const noexcept { return impl_->options; }

Result<const runtime::CommContext*> Communicator::alloc_windows(std::uint64_t bytes) {
  Impl& impl = *impl_;
  if (impl.ready || impl.destroyed)
    return impl.inside(Error(Errc::wrong_state, impl.destroyed ? "the communicator is destroyed already"
                                                               : "the windows are allocated already"));
  if (bytes > max_window_bytes)
    return impl.inside(Error(Errc::too_large, "a window of " + std::to_string(bytes) + " bytes",
                             "a window has at most " + std::to_string(max_window_bytes) + " bytes"));
  impl.terms.bytes = bytes;
  try {
    const std::lock_guard lock(impl.mutex);
    impl.session = std::make_unique<Session>(impl.terms, impl.meeting, impl.environment);
    if (impl.abort_wanted) impl.session->abort();
  } catch (const std::exception& error) {
    return impl.inside(Error(Errc::system, "preparing to meet the other ranks: " + runtime::text_of(error),
                             "too many open files? (ulimit -n)"));
  }
  if (auto met = impl.session->meet(impl.deadline()); !met) {
    impl.drop_session();
    return impl.inside(met.error());
  }
  const std::lock_guard lock(impl.mutex);
  impl.ready = true;
  if (impl.abort_wanted) impl.session->domain().abort();  // it came while the meeting ended
  return impl.session->domain().context();
}

std::byte* Communicator::local_window_base() const noexcept {
  return impl_->domain().window(impl_->terms.rank).data();
}

std::uint64_t Communicator::window_size() const noexcept { return impl_->ready ? impl_->terms.bytes : 0; }

Result<void> Communicator::barrier() {
  if (!impl_->ready)
    return impl_->inside(Error(Errc::wrong_state, "a barrier needs windows", "call alloc_windows first"));
  auto passed = impl_->domain().barrier(impl_->deadline());
  if (!passed) return impl_->inside(passed.error());
  return {};
}

void Communicator::abort() noexcept {
  const std::lock_guard lock(impl_->mutex);
  impl_->abort_wanted = true;
  if (impl_->session) impl_->session->abort();
}

Result<void> Communicator::destroy() {
  Impl& impl = *impl_;
  if (std::exchange(impl.destroyed, true) || !impl.ready) return {};
  const bool again = impl.domain().waited_in_vain() != 0;
  auto departed = impl.domain().wait_departed(again ? impl.environment.now() : impl.deadline());
  impl.drop_session();
  if (!departed) return impl.inside(departed.error());
  return {};
}

DomainMember& Communicator::domain() noexcept { return impl_->domain(); }

}  // namespace troupe::comm
