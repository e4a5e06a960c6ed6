#include "troupe/platform/crash_report.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "crash_sentence.hpp"

namespace troupe::platform {

namespace {

constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr int patience_ms = 10'000;
constexpr std::size_t handler_stack_bytes = 64 * 1024;

int made(int descriptor) {
  if (descriptor < 0)
    throw std::system_error(errno, std::generic_category(), "no descriptor for crash reports");
  return descriptor;
}

/// What a handler may set and wait for.
class Event {
 public:
  Event() : descriptor_(made(eventfd(0, EFD_CLOEXEC))) {}
  void set() const noexcept {
    const std::uint64_t one = 1;
    (void)!::write(descriptor_, &one, sizeof one);
  }
  /// It stays set. False: not within the time (negative: for ever).
  bool wait(int milliseconds) const noexcept {
    pollfd waiting{descriptor_, POLLIN, 0};
    int ready = 0;
    do ready = ::poll(&waiting, 1, milliseconds);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
  }
  void take() const noexcept {
    std::uint64_t count = 0;
    while (::read(descriptor_, &count, sizeof count) < 0 && errno == EINTR) {
    }
  }

 private:
  int descriptor_;  // for the life of the process, as the handler may come at any time
};

/// Signal handlers belong to the process, and so does this; made with the first report and never unmade.
struct Process {
  std::mutex lifecycle;  ///< held while handlers and watcher come or go
  std::mutex mutex;
  std::vector<const CrashReport::LastWords*> reports;
  std::atomic<bool> reporting{false};  ///< there are some
  std::array<struct sigaction, crash_signals.size()> before{};
  std::thread watcher;
  Event wanted, done, over;
  std::atomic<bool> closing{false}, is_watched{false};

  // Of the thread that crashed first, for the watcher.
  std::atomic<std::thread::native_handle_type> crashed{};
  std::atomic<bool> crashing{false};
  PlainText sentence;
  const char* where = nullptr;
};
constinit std::atomic<Process*> process{nullptr};  ///< null: nobody ever reported
constinit std::atomic<pid_t> owner{0};             ///< a child of fork has the handlers, not the threads

// Of each thread; read in the handler, so it must be there without being made.
[[gnu::tls_model("initial-exec")]] constinit thread_local troupe_running* running = nullptr;
[[gnu::tls_model("initial-exec")]] constinit thread_local bool has_stack = false;

/// A handler runs on a stack of its own, or a stack that overflowed could not be told. Of each thread that
/// runs kernels; one that somebody else has set stays. Null: none, also when there is no memory.
void* make_handler_stack() noexcept {
  stack_t now{};
  if (sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return nullptr;
  void* memory =
      mmap(nullptr, handler_stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  stack_t own{};
  own.ss_sp = memory;
  own.ss_size = handler_stack_bytes;
  sigaltstack(&own, nullptr);
  return memory;
}

void free_handler_stack(void* memory) noexcept {
  stack_t now{};
  if (sigaltstack(nullptr, &now) != 0 || now.ss_sp != memory) return;  // somebody's, who may use ours
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
  munmap(memory, handler_stack_bytes);
}

/// Ends a thread's stack with the thread. No `thread_local` object: to end one, glibc wants memory, and ends
/// the process when there is none.
struct HandlerStacks {
  pthread_key_t of_thread{};
  bool made = pthread_key_create(&of_thread, &free_handler_stack) == 0;
};

void give_stack() noexcept {
  has_stack = true;
  static const HandlerStacks stacks;
  if (!stacks.made) return;
  void* const memory = make_handler_stack();
  if (memory != nullptr && pthread_setspecific(stacks.of_thread, memory) != 0) free_handler_stack(memory);
}

std::uint64_t stack_pointer(const void* context) noexcept {
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uint64_t>(registers.gregs[REG_RSP]);
#else
  return registers.sp;
#endif
}

void say(std::string_view text) noexcept { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

void on_crash(int signal, siginfo_t* info, void* context);

void restore_handler(Process& all, int signal) noexcept {
  const auto* const known = std::find(crash_signals.begin(), crash_signals.end(), signal);
  sigaction(signal, &all.before[static_cast<std::size_t>(known - crash_signals.begin())], nullptr);
}

void report(Process& all, int signal, const siginfo_t& info, const void* context) noexcept {
  const troupe_running* const inside = running;
  const bool in_child = ::getpid() != owner.load();
  if (inside != nullptr || signal != SIGABRT) {  // who aborts outside of kernels has said why
    say_crash(all.sentence, inside, signal, info, stack_pointer(context));
    PlainText line;
    say(line.add("troupe: ").add(all.sentence.view()).add("\n").view());
  }
  if (signal == SIGBUS && info.si_code == BUS_ADRERR) {
    say("  hint: a module, or another file in use, was cut or written over; put new ones in place with mv,\n"
        "  which leaves what is in use alone. Where nobody did, the disk or the huge pages are full\n");
  }
  if (inside != nullptr) {
    all.where = inside->where;
    if (signal == SIGSEGV && info.si_code > 0) {
      PlainText line;
      line.add("  ");
      say_tensor(line, *inside, reinterpret_cast<std::uint64_t>(info.si_addr));
      if (line.view().size() > 2) say(line.add("\n").view());
    }
    const bool may_have_missed = inside->words != nullptr && signal == SIGSEGV;
    say(may_have_missed ? "  hint: --checked finds writes that miss their tensor; a debugger shows the line\n"
                        : "  hint: a debugger shows the line\n");
  }
  if (in_child || !all.is_watched.load()) return;
  all.wanted.set();
  if (!all.done.wait(patience_ms)) say("troupe: no last words (files of this run may be missing)\n");
}

// Afterwards what was in charge before us is so again: a fault comes once more when this returns, and what
// was sent is sent once more.
void on_crash(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  Process& all = *process.load();
  const auto self = pthread_self();
  if (!all.reporting.load()) {
    // Somebody who came after us has kept our address.
  } else if (!all.crashing.exchange(true)) {
    all.crashed.store(self);
    report(all, signal, *info, context);
    all.over.set();
  } else if (all.is_watched.load() && pthread_equal(self, all.watcher.native_handle()) != 0) {
    all.done.set();  // the last words crashed too; what came first ends the process
    for (;;) ::pause();
  } else if (pthread_equal(self, all.crashed.load()) == 0) {
    all.over.wait(-1);
  } else {
    // Again, either in this handler, because what it looked at was destroyed, or by a handler from before
    // that calls us: there is nobody else to ask.
    (void)::signal(signal, SIG_DFL);
    if (info->si_code <= 0) (void)::raise(signal);
    return;
  }
  restore_handler(all, signal);
  if (info->si_code <= 0) (void)::raise(signal);  // held back until this returns
  errno = error;
}

void watch(Process& all) {
  pthread_setname_np(pthread_self(), "troupe-crash");
  for (;;) {
    all.wanted.take();
    if (all.closing.load()) return;
    const Crash crash{std::string(all.sentence.view()), all.where != nullptr ? all.where : ""};
    {
      const std::lock_guard lock(all.mutex);
      for (const auto* last_words : all.reports) {
        try {
          (*last_words)(crash);
        } catch (...) {  // NOLINT(bugprone-empty-catch): nobody is left to be told
        }
      }
    }
    all.done.set();
  }
}

void install(Process& all) {
  all.closing.store(false);
  sigset_t others, before;
  sigfillset(&others);
  for (const int signal : crash_signals) sigdelset(&others, signal);
  pthread_sigmask(SIG_SETMASK, &others, &before);
  try {
    all.watcher = std::thread([&all] { watch(all); });
  } catch (const std::system_error&) {  // no thread to be had: a sentence is better than nothing
  }
  all.is_watched.store(all.watcher.joinable());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  owner.store(::getpid());
  all.reporting.store(true);
  process.store(&all);
  struct sigaction ours {};
  ours.sa_sigaction = &on_crash;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&ours.sa_mask);
  for (const int signal : crash_signals) sigdelset(&ours.sa_mask, signal);
  for (std::size_t i = 0; i < crash_signals.size(); ++i) sigaction(crash_signals[i], &ours, &all.before[i]);
}

Process& of_process() {
  static Process* const all = new Process;  // a handler may be inside it when the process ends
  return *all;
}

}  // namespace

troupe_running* set_running(troupe_running* what) noexcept {
  if (what != nullptr && !has_stack) give_stack();
  return std::exchange(running, what);
}

CrashReport::CrashReport(LastWords last_words) : last_words_(std::move(last_words)) {
  Process& all = of_process();
  const std::lock_guard one_at_a_time(all.lifecycle);
  if (!all.reporting.load()) install(all);
  const std::lock_guard lock(all.mutex);
  all.reports.push_back(&last_words_);
}

CrashReport::~CrashReport() {
  Process& all = of_process();
  const std::lock_guard one_at_a_time(all.lifecycle);
  {
    const std::lock_guard lock(all.mutex);
    std::erase(all.reports, &last_words_);
    if (!all.reports.empty()) return;
  }
  for (const int signal : crash_signals) {
    // Who came after us stays in charge.
    struct sigaction now {};
    sigaction(signal, nullptr, &now);
    if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == &on_crash) restore_handler(all, signal);
  }
  all.reporting.store(false);
  if (!all.is_watched.exchange(false)) return;
  all.closing.store(true);
  all.wanted.set();
  all.watcher.join();
}

}  // namespace troupe::platform
