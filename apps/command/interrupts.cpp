#include "command/interrupts.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "command/cli.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/threads_hint.hpp"

namespace troupe::apps {
namespace {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

int checked(int descriptor, const char* what) {
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
  return descriptor;
}

}  // namespace

Interrupts::Interrupts() {
  const sigset_t signals = stop_signals();
  descriptor_ = checked(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  pthread_sigmask(SIG_BLOCK, &signals, &before_);
  blocked_ = true;
}

Interrupts::~Interrupts() {
  restore();
  ::close(descriptor_);
}

void Interrupts::restore() noexcept {
  if (blocked_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  blocked_ = false;
}

std::optional<int> Interrupts::take() {
  signalfd_siginfo info;
  if (::read(descriptor_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  restore();
  return static_cast<int>(info.ssi_signo);
}

Flag::Flag() : descriptor_(checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "no descriptor to be woken by")) {}
Flag::~Flag() { ::close(descriptor_); }

void Flag::raise() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(descriptor_, &one, sizeof one);  // full: it is raised already
}

std::thread start_thread(std::function<void()> work, const std::string& what) try {
  return std::thread(std::move(work));
} catch (const std::system_error&) {
  throw Error(actors::Errc::out_of_threads, "no thread for " + what, comm::threads_hint());
}

EndAtOnce::EndAtOnce(const Interrupts& interrupts, std::string say)
    : listener_(start_thread(
          [this, &interrupts, text = std::move(say) + "\n"] {
            if (wait_for(done_, &interrupts, -1) != Woken::interrupt) return;
            (void)!::write(STDERR_FILENO, text.data(), text.size());
            std::_Exit(exit_interrupted);
          },
          "the command, which listens for Ctrl-C")) {}

EndAtOnce::~EndAtOnce() {
  done_.raise();
  listener_.join();
}

Woken wait_for(const Flag& flag, const Interrupts* interrupts, int tick_ms) {
  pollfd waiting[2] = {{flag.descriptor(), POLLIN, 0},
                       {interrupts != nullptr ? interrupts->descriptor() : -1, POLLIN, 0}};
  for (;;) {
    const int ready = ::poll(waiting, 2, tick_ms);
    if (ready == 0) return Woken::tick;
    if (ready > 0) return (waiting[0].revents & POLLIN) != 0 ? Woken::flag : Woken::interrupt;
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
  }
}

}  // namespace troupe::apps
