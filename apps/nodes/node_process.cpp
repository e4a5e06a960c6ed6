#include "nodes/node_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <ostream>
#include <sstream>
#include <system_error>

#include "errc.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): where it is declared depends on macros

namespace troupe::apps {
namespace {

constexpr std::string_view end_of_credentials = "end of credentials\n";
constexpr std::size_t most_credentials = 256U << 10U;
/// How long what starts a node may take to end after it.
constexpr int patience_ms = 5000;

std::string reason() { return std::generic_category().message(errno); }
Error no_process() { return {Errc::cannot_read, "no process for a node: " + reason()}; }

/// From one line to another, both with it; empty: it is not there. `from` moves behind it.
std::string block(const std::string& text, const std::string& what, std::size_t& from) {
  const auto begin = text.find("-----BEGIN " + what + "-----", from);
  const std::string last = "-----END " + what + "-----\n";
  const auto end = begin == std::string::npos ? begin : text.find(last, begin);
  if (end == std::string::npos) return {};
  from = end + last.size();
  return text.substr(begin, from - begin);
}

/// Of a process that is going, or gone; it stays for who waits for it.
std::string how_it_ended(pid_t pid) {
  siginfo_t facts{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &facts, WEXITED | WNOWAIT) != 0) {
    if (errno != EINTR) return " has ended";
  }
  const auto number = std::to_string(facts.si_status);
  return facts.si_code == CLD_EXITED ? " has ended with status " + number : " was ended by signal " + number;
}

}  // namespace

Result<std::string> credentials_for(CertificatePlace& place, const std::string& host) {
  std::string all;
  for (const auto& name : {host + ".pem", host + ".key", std::string("ca.pem")}) {
    std::ifstream file(place.path(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return Error(Errc::cannot_read, "cannot read " + name);
    all += text.str();
    if (all.back() != '\n') all += '\n';
  }
  return all.append(end_of_credentials);
}

Result<void> take_credentials(int from, CertificatePlace& into) {
  const auto refused = [](const std::string& why) {
    return Error(Errc::bad_parameter, "no credentials on the standard input: " + why,
                 "`troupe pod` starts nodes in this way");
  };
  std::string text;
  while (!text.ends_with(end_of_credentials)) {
    char byte = 0;
    const auto got = ::read(from, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refused(reason());
    if (got == 0) return refused("it ended");
    if (text.size() == most_credentials) return refused("there is too much of it");
    text += byte;
  }
  std::size_t at = 0, key_at = 0;
  const auto certificate = block(text, "CERTIFICATE", at), authority = block(text, "CERTIFICATE", at);
  const auto key = block(text, "PRIVATE KEY", key_at);
  if (certificate.empty() || authority.empty() || key.empty()) return refused("it has no certificates");
  for (const auto& [name, content] :
       {std::pair("node.pem", &certificate), {"node.key", &key}, {"ca.pem", &authority}}) {
    std::ofstream file(into.path(name), std::ios::binary | std::ios::trunc);
    file << *content << std::flush;
    if (!file) return Error(Errc::cannot_write, std::string("cannot keep ") + name);
  }
  return {};
}

NodeProcess::NodeProcess(std::vector<std::string> words, const std::string& credentials, std::ostream& says,
                         std::mutex& turns) {
  std::array<int, 2> in{}, out{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in.data()) != 0) throw no_process();
  input_.reset(in[0]);
  const comm::FileDescriptor its_input(in[1]);
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out.data()) != 0) throw no_process();
  output_.reset(out[0]);
  comm::FileDescriptor its_output(out[1]);
  std::vector<char*> raw;
  for (auto& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, its_input.get(), STDIN_FILENO);
  // What its kernels print is no option of a program's.
  posix_spawn_file_actions_adddup2(&actions, its_output.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, its_output.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // Ctrl-C is for this one, and its signals, which it waits for, are none of theirs.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  errno = ::posix_spawnp(&pid_, raw.front(), &actions, &attributes, raw.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (errno != 0) throw Error(Errc::cannot_read, words.front() + " cannot be started: " + reason());
  its_output.reset(-1);
  // It fits: nobody has to read first. One that has ended says why.
  (void)::send(input_.get(), credentials.data(), credentials.size(), MSG_NOSIGNAL);
  listener_ = start_thread([this, &says, &turns] { listen(says, turns); }, "a node of the pod");
}

NodeProcess::~NodeProcess() {
  if (pid_ < 0) return;
  ending_ = true;
  input_.reset(-1);
  ::kill(pid_, SIGTERM);
  const comm::FileDescriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  pollfd ended{process.get(), POLLIN, 0};
  if (process.valid() && ::poll(&ended, 1, patience_ms) == 0) ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  // What a launcher left behind may have its output still.
  (void)::shutdown(output_.get(), SHUT_RD);
  if (listener_.joinable()) listener_.join();
}

Result<std::string> NodeProcess::address() const {
  const std::lock_guard lock(mutex_);
  if (!address_.empty()) return address_;
  const auto last = said_.find_last_not_of('\n');
  return Error(Errc::bad_parameter,
               "a node of the pod did not start: " +
                   (last == std::string::npos ? "it said nothing" : said_.substr(0, last + 1)));
}

void NodeProcess::listen(std::ostream& says, std::mutex& turns) {
  constexpr std::string_view begun = "listens at ";
  constexpr std::size_t most_said = 16U << 10U;
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> lines(::fdopen(::fcntl(output_.get(), F_DUPFD_CLOEXEC, 0), "r"));
  std::array<char, 1024> line{};
  bool listens = false;
  while (lines && std::fgets(line.data(), line.size(), lines.get()) != nullptr) {
    const std::string text = line.data();
    if (listens) {
      const std::lock_guard lock(turns);
      says << text << std::flush;
      continue;
    }
    const std::lock_guard lock(mutex_);
    const auto found = text.find(begun);
    listens = found != std::string::npos;
    if (listens) {
      const auto address = text.substr(found + begun.size());
      address_ = address.substr(0, address.find(' '));
      begun_.raise();
    } else if (said_.size() < most_said) {
      said_ += text;
    }
  }
  if (listens && !ending_) {
    const std::lock_guard lock(turns);
    says << "troupe pod: the node at " << address_ << how_it_ended(pid_) << std::endl;
  } else if (!listens) {
    const std::lock_guard lock(mutex_);
    if (said_.empty()) said_ = "it said nothing, and" + how_it_ended(pid_);
  }
  begun_.raise();
}

}  // namespace troupe::apps
