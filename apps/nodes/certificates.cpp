#include "nodes/certificates.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "errc.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): where it is declared depends on macros

namespace troupe::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* said_file = ".openssl.log";

/// What is not to be left when it goes: helpers, or what has begun to be made and is half done.
class Unfinished {
 public:
  Unfinished(CertificatePlace& place, std::vector<std::string> names)
      : place_(place), names_(std::move(names)) {}
  void done() { names_.clear(); }
  ~Unfinished() {
    for (const auto& name : names_) place_.remove(name);
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

 private:
  CertificatePlace& place_;
  std::vector<std::string> names_;
};

std::string text_of(const std::string& file) {
  std::ifstream from(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(from), {}};
}

/// Of what it said: why not.
std::string reason_in(const std::string& said) {
  const std::string why = "depth lookup: ";
  std::istringstream lines(said);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (const auto found = line.find(why); found != std::string::npos) return line.substr(found + why.size());
    if (!line.empty()) last = line;
  }
  return last;
}

Result<std::string> run_openssl(const std::vector<std::string>& arguments, const std::string& log) {
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
  auto said = text_of(log);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
  return Error(Errc::cannot_write, "openssl " + arguments.front() + " failed: " + reason_in(said));
}

std::string serial() {
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

bool is_ip_address(const std::string& host) {
  return host.find(':') != std::string::npos || host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

std::string CertificateFolder::path(const std::string& name) { return (fs::path(folder_) / name).string(); }
bool CertificateFolder::has(const std::string& name) {
  std::error_code ignored;
  return fs::exists(path(name), ignored);
}
void CertificateFolder::remove(const std::string& name) {
  std::error_code ignored;
  fs::remove(path(name), ignored);
}

std::string CertificateMemory::path(const std::string& name) {
  auto& memory = memory_[name];
  if (!memory.valid()) {
    memory.reset(::memfd_create(name.c_str(), MFD_CLOEXEC));
    if (!memory.valid() || ::fchmod(memory.get(), 0600) != 0)
      throw Error(Errc::cannot_write, "no memory for a key: " + std::generic_category().message(errno));
  }
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(memory.get());
}
bool CertificateMemory::has(const std::string& name) {
  const auto found = memory_.find(name);
  struct stat facts {};
  return found != memory_.end() && ::fstat(found->second.get(), &facts) == 0 && facts.st_size != 0;
}

Result<std::string> Authority::openssl(std::vector<std::string> arguments) {
  const Unfinished log(place_, {said_file});
  return run_openssl(arguments, place_.path(said_file));
}

/// That they are of one pair; `subject`: and whose, if it is not empty.
Result<void> Authority::fit(const std::string& certificate, const std::string& key,
                            const std::string& subject) {
  const std::string begin = "-----BEGIN";
  const auto says = openssl(
      {"x509", "-noout", "-subject", "-nameopt", "RFC2253", "-pubkey", "-in", place_.path(certificate)});
  if (!says) return says.error();
  if (!subject.empty() && says->find("subject=CN=" + subject + "\n") == std::string::npos)
    return Error(Errc::cannot_write, "\"" + certificate + "\" has another name on it");
  const auto of_key = openssl({"pkey", "-pubout", "-passin", "pass:", "-in", place_.path(key)});
  if (!of_key) return of_key.error();
  // Either may be in front of the other.
  const auto pair = of_key->find(begin);
  if (pair != std::string::npos && says->find(of_key->substr(pair)) != std::string::npos) return {};
  return Error(Errc::cannot_write, "\"" + key + "\" is not the key of \"" + certificate + "\"");
}

Result<void> Authority::make() {
  const bool has_certificate = place_.has("ca.pem"), has_key = place_.has("ca.key");
  if (has_certificate && has_key) {
    if (const auto fine = fit("ca.pem", "ca.key", {}); !fine) {
      return Error(Errc::cannot_write, "ca.pem and ca.key are there already, but are no authority",
                   "take another folder, or remove them")
          .caused_by(fine.error());
    }
    return {};
  }
  if (has_certificate || has_key) {
    return Error(Errc::cannot_write,
                 "one of ca.pem and ca.key is in \"" +
                     fs::path(place_.path("ca.pem")).parent_path().string() + "\", the other is not",
                 "take another folder, or remove it");
  }
  Unfinished files(place_, {"ca.pem", "ca.key"});
  const auto made = openssl({"req",      "-x509",
                             "-newkey",  "ec",
                             "-pkeyopt", "ec_paramgen_curve:P-256",
                             "-nodes",   "-sha256",
                             "-days",    days_,
                             "-subj",    "/CN=troupe authority",
                             "-addext",  "basicConstraints=critical,CA:TRUE,pathlen:0",
                             "-addext",  "keyUsage=critical,keyCertSign,cRLSign",
                             "-keyout",  place_.path("ca.key"),
                             "-out",     place_.path("ca.pem")});
  if (!made) return made.error();
  files.done();
  return {};
}

Result<bool> Authority::issue_node(const std::string& host) {
  const bool is_ip = is_ip_address(host);
  return issue({host,
                "serverAuth",
                "sslserver",
                (is_ip ? "IP:" : "DNS:") + host,
                {is_ip ? "-verify_ip" : "-verify_hostname", host}});
}

Result<bool> Authority::issue_user(const std::string& name) {
  return issue({name, "clientAuth", "sslclient", {}, {}});
}

/// Of what is there already: whether it would be made like that.
Result<void> Authority::is_as_wanted(const Wanted& wanted) {
  const auto certificate = wanted.name + ".pem", key = wanted.name + ".key";
  if (!place_.has(certificate) || !place_.has(key)) {
    return Error(Errc::cannot_write,
                 "one of \"" + certificate + "\" and \"" + key + "\" is there already, the other is not");
  }
  std::vector<std::string> words{"verify",   "-no-CApath",  "-no-CAstore", "-CAfile", place_.path("ca.pem"),
                                 "-purpose", wanted.purpose};
  words.insert(words.end(), wanted.check.begin(), wanted.check.end());
  words.push_back(place_.path(certificate));
  if (const auto verified = openssl(words); !verified) {
    return Error(Errc::cannot_write,
                 "\"" + certificate + "\" is there already, but is no certificate of this authority for a " +
                     (wanted.names.empty() ? "user" : "node of that name"))
        .caused_by(verified.error());
  }
  return fit(certificate, key, wanted.name);
}

Result<bool> Authority::issue(const Wanted& wanted) {
  const auto certificate = wanted.name + ".pem", key = wanted.name + ".key", request = wanted.name + ".csr",
             extensions = wanted.name + ".ext";
  if (place_.has(certificate) || place_.has(key)) {
    const auto fine = is_as_wanted(wanted);
    if (fine) return false;
    return Error(fine.error().code(), fine.error().message(), "take another folder, or remove it")
        .caused_by(fine.error().cause() != nullptr ? *fine.error().cause() : fine.error());
  }
  Unfinished made(place_, {certificate, key});
  const Unfinished helpers(place_, {request, extensions});
  std::ofstream(place_.path(extensions))
      << "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
      << "extendedKeyUsage=" << wanted.usage << "\n"
      << (wanted.names.empty() ? "" : "subjectAltName=" + wanted.names + "\n");
  const auto asked =
      openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-subj",
               "/CN=" + wanted.name, "-keyout", place_.path(key), "-out", place_.path(request)});
  if (!asked) return asked.error();
  const auto signed_ =
      openssl({"x509", "-req", "-in", place_.path(request), "-CA", place_.path("ca.pem"), "-CAkey",
               place_.path("ca.key"), "-set_serial", "0x" + serial(), "-sha256", "-days", days_, "-extfile",
               place_.path(extensions), "-out", place_.path(certificate)});
  if (!signed_) return signed_.error();
  made.done();
  return true;
}

}  // namespace troupe::apps
