// `troupe certs`: an authority of one's own and certificates of it, made by openssl.
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <system_error>
#include <vector>

#include "command/commands.hpp"
#include "errc.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): where it is declared depends on macros

namespace troupe::apps {
namespace {

namespace fs = std::filesystem;

/// What has begun to be made, and is not to be left half done.
class Unfinished {
 public:
  void add(const fs::path& file) { files_.push_back(file); }
  void done() { files_.clear(); }
  ~Unfinished() {
    std::error_code ignored;
    for (const auto& file : files_) fs::remove(file, ignored);
  }

 private:
  std::vector<fs::path> files_;
};

/// Nothing that a shell, a file system or openssl would read as something else.
Result<void> check_name(const std::string& name) {
  const bool plain =
      !name.empty() && name.size() <= 64 && name.front() != '-' && name.front() != '.' &&
      std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return (std::isalnum(c) != 0 && c < 128) || c == '.' || c == '-' || c == '_' || c == ':' || c == '@';
      });
  if (plain) return {};
  return Error(Errc::bad_parameter, "\"" + name + "\" cannot be the name on a certificate",
               "letters, digits and . - _ : @, up to 64");
}

Result<void> run_openssl(const std::vector<std::string>& arguments, const fs::path& log) {
  std::vector<std::string> words{"openssl"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> raw;
  for (auto& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = -1;
  const int problem = ::posix_spawnp(&pid, "openssl", &actions, nullptr, raw.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) {
    return Error(Errc::cannot_write,
                 "certificates are made by openssl, which cannot be started: " +
                     std::generic_category().message(problem),
                 "apt-get install openssl");
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::ifstream said(log);
  std::string line, last;
  while (std::getline(said, line)) {
    if (!line.empty()) last = line;
  }
  return Error(Errc::cannot_write, "openssl " + arguments.front() + " failed: " + last);
}

/// Makes certificates in a folder; keys are for the user alone.
class Authority {
 public:
  Authority(fs::path folder, int days) : folder_(std::move(folder)), days_(std::to_string(days)) {}

  Result<void> make() {
    if (fs::exists(file("ca.pem")) && fs::exists(file("ca.key"))) return {};
    if (fs::exists(file("ca.pem")) || fs::exists(file("ca.key"))) {
      return Error(Errc::cannot_write,
                   "one of ca.pem and ca.key is in \"" + folder_.string() + "\", the other is not",
                   "take another folder, or remove it");
    }
    Unfinished files;
    files.add(file("ca.pem"));
    files.add(file("ca.key"));
    auto made = openssl({"req",      "-x509",
                         "-newkey",  "ec",
                         "-pkeyopt", "ec_paramgen_curve:P-256",
                         "-nodes",   "-sha256",
                         "-days",    days_,
                         "-subj",    "/CN=troupe authority",
                         "-addext",  "basicConstraints=critical,CA:TRUE,pathlen:0",
                         "-addext",  "keyUsage=critical,keyCertSign,cRLSign",
                         "-keyout",  file("ca.key"),
                         "-out",     file("ca.pem")});
    if (made) files.done();
    return made;
  }

  /// `kind`: what the other end may be, and `names` under which it is reached.
  Result<bool> issue(const std::string& name, const std::string& kind, const std::string& names) {
    const auto certificate = file(name + ".pem"), key = file(name + ".key"), request = file(name + ".csr"),
               extensions = file(name + ".ext");
    if (fs::exists(certificate)) return false;
    Unfinished made, helpers;
    for (const auto& one : {certificate, key}) made.add(one);
    for (const auto& one : {request, extensions}) helpers.add(one);
    std::ofstream(extensions) << "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                              << "extendedKeyUsage=" << kind << "\n"
                              << (names.empty() ? "" : "subjectAltName=" + names + "\n");
    if (auto asked = openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                              "-sha256", "-subj", "/CN=" + name, "-keyout", key, "-out", request});
        !asked)
      return asked.error();
    if (auto signed_ = openssl({"x509", "-req", "-in", request, "-CA", file("ca.pem"), "-CAkey",
                                file("ca.key"), "-set_serial", "0x" + serial(), "-sha256", "-days", days_,
                                "-extfile", extensions, "-out", certificate});
        !signed_)
      return signed_.error();
    made.done();
    return true;
  }

 private:
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  Result<void> openssl(const std::vector<std::string>& arguments) const {
    const auto log = folder_ / ".openssl.log";
    auto made = run_openssl(arguments, log);
    std::error_code ignored;
    fs::remove(log, ignored);
    return made;
  }
  static std::string serial() {
    std::ifstream random("/dev/urandom", std::ios::binary);
    std::string digits;
    for (int i = 0; i < 16; ++i) {
      constexpr const char* hex = "0123456789abcdef";
      const int byte = random.get();
      digits += hex[(byte >> 4) & 7];  // a positive number
      digits += hex[byte & 15];
    }
    return digits;
  }

  const fs::path folder_;
  const std::string days_;
};

bool is_ip_address(const std::string& host) {
  return host.find(':') != std::string::npos || host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

int execute(const CertsCommand& command, Console& console) {
  const auto refuse = [&](const Error& error, int answer) {
    console.err << "troupe: " << render(error) << "\n";
    return answer;
  };
  for (const auto& names : {command.nodes, command.users}) {
    for (const auto& name : names) {
      if (const auto fine = check_name(name); !fine) return refuse(fine.error(), exit_usage);
      if (std::ranges::count(command.nodes, name) + std::ranges::count(command.users, name) > 1 ||
          name == "ca") {
        return refuse(
            Error(Errc::bad_parameter, "\"" + name + "\" is there twice", "each gets files of its own name"),
            exit_usage);
      }
    }
  }
  // Whatever is made is for this user alone from the first byte on.
  const auto before = ::umask(077);
  std::error_code problem;
  fs::create_directories(command.folder, problem);
  const auto answer = [&] {
    if (problem) {
      return refuse(Error(Errc::cannot_write, "cannot make \"" + command.folder + "\": " + problem.message()),
                    exit_cannot_start);
    }
    Authority authority(command.folder, command.days);
    if (const auto made = authority.make(); !made) return refuse(made.error(), exit_cannot_start);
    const auto issue = [&](const std::string& name, const std::string& kind, const std::string& names) {
      const auto made = authority.issue(name, kind, names);
      if (!made) return refuse(made.error(), exit_cannot_start);
      console.err << command.folder << "/" << name << ".pem, .key" << (*made ? "" : ": there already")
                  << "\n";
      return static_cast<int>(exit_ok);
    };
    for (const auto& host : command.nodes) {
      const auto names = (is_ip_address(host) ? "IP:" : "DNS:") + host;
      if (const int failed = issue(host, "serverAuth", names); failed != exit_ok) return failed;
    }
    for (const auto& user : command.users) {
      if (const int failed = issue(user, "clientAuth", {}); failed != exit_ok) return failed;
    }
    return static_cast<int>(exit_ok);
  }();
  (void)::umask(before);
  return answer;
}

}  // namespace troupe::apps
