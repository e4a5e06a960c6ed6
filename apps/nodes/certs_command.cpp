// `troupe certs`: an authority of one's own and certificates of it, in a folder.
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <ostream>
#include <system_error>

#include "command/commands.hpp"
#include "errc.hpp"
#include "nodes/certificates.hpp"

namespace troupe::apps {
namespace {

namespace fs = std::filesystem;

/// Nothing that a shell, a file system or openssl would read as something else.
Result<void> check_name(const std::string& name) {
  const bool plain =
      !name.empty() && name.size() <= 64 && name.front() != '-' && name.front() != '.' &&
      std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return (std::isalnum(c) != 0 && c < 128) || c == '.' || c == '-' || c == '_' || c == ':' || c == '@';
      });
  // Two or more are in an address.
  if (plain && std::count(name.begin(), name.end(), ':') == 1)
    return Error(Errc::bad_parameter,
                 "\"" + name + "\" is no name on a certificate: a host without its port is");
  if (plain) return {};
  return Error(Errc::bad_parameter, "\"" + name + "\" cannot be the name on a certificate",
               "letters, digits and . - _ : @, up to 64");
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
    CertificateFolder folder(command.folder);
    Authority authority(folder, command.days);
    if (const auto made = authority.make(); !made) return refuse(made.error(), exit_cannot_start);
    const auto tell = [&](const std::string& name, const Result<bool>& made) {
      if (!made) return refuse(made.error(), exit_cannot_start);
      console.err << command.folder << "/" << name << ".pem, .key" << (*made ? "" : ": there already")
                  << "\n";
      return static_cast<int>(exit_ok);
    };
    for (const auto& host : command.nodes) {
      if (const int failed = tell(host, authority.issue_node(host)); failed != exit_ok) return failed;
    }
    for (const auto& user : command.users) {
      if (const int failed = tell(user, authority.issue_user(user)); failed != exit_ok) return failed;
    }
    return static_cast<int>(exit_ok);
  }();
  (void)::umask(before);
  return answer;
}

}  // namespace troupe::apps
