// `troupe pod`: several nodes at once, on this machine or on others that ssh or another launcher reaches.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <sstream>
#include <utility>
#include <vector>

#include "command/commands.hpp"
#include "command/interrupts.hpp"
#include "errc.hpp"
#include "nodes/node_process.hpp"

namespace troupe::apps {
namespace {

/// The nodes may be used with the options that are printed, by everybody who has them.
constexpr auto user = "me";
/// Whoever started it wants to know what it waits for.
constexpr int long_ms = 5000;

/// One node: where it is to be, and what its certificate calls it.
struct Place {
  std::string whom;  ///< as the launcher knows it; empty: this machine
  std::string name = "localhost";
  int port = 0;
};

bool is_plain(const std::string& word) {
  constexpr auto plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/+:@";
  return !word.empty() && word.front() != '-' && word.find_first_not_of(plain) == std::string::npos;
}

Result<std::vector<Place>> places_of(const PodCommand& command) {
  if (command.hosts.empty()) return std::vector<Place>(static_cast<std::size_t>(command.nodes));
  // They pass through the shells of other machines.
  for (const auto& word : {command.platform, command.program}) {
    if (!is_plain(word))
      return Error(Errc::bad_parameter, "\"" + word + "\" is no word that can be sent to another machine");
  }
  if (command.through.find_first_not_of(' ') == std::string::npos)
    return Error(Errc::bad_parameter, "--through is empty: nothing starts a node on another machine");
  std::vector<Place> places;
  std::map<std::string, int> on_host;
  for (const auto& host : command.hosts) {
    const auto name = host.substr(host.rfind('@') + 1);  // user@host, for ssh
    if (!is_plain(host) || !is_plain(name) || name.find_first_of("/:+") != std::string::npos)
      return Error(Errc::bad_parameter, "\"" + host + "\" is no name of a machine", "HOST or USER@HOST");
    const int before = on_host[name]++;
    places.push_back({host, name, command.port == 0 ? 0 : command.port + before});
  }
  return places;
}

std::vector<std::string> words_for(const PodCommand& command, const Place& place) {
  std::vector<std::string> words;
  if (place.whom.empty()) {
    words = {"/proc/self/exe"};
  } else {
    std::istringstream through(command.through);
    for (std::string word; through >> word;) words.push_back(word);
    words.insert(words.end(), {place.whom, command.program});
  }
  // A machine often takes its own name for one that only it can reach.
  const auto listen = (place.whom.empty() ? "localhost:" : "0.0.0.0:") + std::to_string(place.port);
  words.insert(words.end(), {"node", "--of-pod", "--listen", listen, "--chips", std::to_string(command.chips),
                             "--platform", command.platform, "--allow", user, "--ship", user});
  return words;
}

Result<void> make_certificates(Authority& authority, CertificatePlace& memory,
                               const std::vector<Place>& places) {
  if (auto began = authority.make(); !began) return began;
  for (const auto& place : places) {
    if (auto node = authority.issue_node(place.name); !node) return node.error();
  }
  if (auto me = authority.issue_user(user); !me) return me.error();
  memory.remove("ca.key");  // nobody else ever gets one
  return {};
}

/// "a, b and 3 more".
std::string list(const std::vector<std::string>& names) {
  constexpr std::size_t most = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() <= most ? text : text + " and " + std::to_string(names.size() - most) + " more";
}

std::string count(int number, const std::string& what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

}  // namespace

int execute(const PodCommand& command, Console& console) {
  Interrupts interrupts;
  // Nothing of them is left, however this process ends.
  CertificateMemory certificates;
  Authority authority(certificates, 365);
  const auto cannot = [&](const Error& why) {
    console.err << "troupe: " << render(why) << "\n";
    return exit_cannot_start;
  };
  const auto places = places_of(command);
  if (!places) {
    console.err << "troupe: " << render(places.error()) << "\n";
    return exit_usage;
  }
  if (const auto made = make_certificates(authority, certificates, *places); !made)
    return cannot(made.error());

  std::mutex turns;  ///< of those who say something
  std::vector<std::unique_ptr<NodeProcess>> nodes;
  for (const auto& place : *places) {
    const auto credentials = credentials_for(certificates, place.name);
    if (!credentials) return cannot(credentials.error());
    try {
      nodes.push_back(
          std::make_unique<NodeProcess>(words_for(command, place), *credentials, console.err, turns));
    } catch (const Error& error) {
      return cannot(error);
    }
  }
  std::string hosts;
  std::vector<std::string> missing;
  for (const auto& place : *places) missing.push_back(place.name);
  bool told = command.hosts.empty();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (auto woken = Woken::tick; woken == Woken::tick;) {
      woken = wait_for(nodes[i]->begun(), &interrupts, told ? -1 : long_ms);
      if (woken == Woken::interrupt) {
        (void)interrupts.take();
        return exit_interrupted;
      }
      if (woken == Woken::tick && !std::exchange(told, true))
        console.err << "troupe pod: waits for " << list(missing) << std::endl;
    }
    const auto address = nodes[i]->address();
    if (!address) {
      const auto& name = (*places)[i].whom;
      return cannot(name.empty() ? address.error()
                                 : Error(Errc::cannot_read, "no node on " + name).caused_by(address.error()));
    }
    missing.erase(missing.begin());
    const auto port = address->substr(address->rfind(':'));
    hosts += (hosts.empty() ? "" : ",") + (*places)[i].name + port;
  }
  console.err << "troupe pod: " << count(static_cast<int>(nodes.size()), "node") << " of "
              << count(command.chips, "chip") << ", for programs of yours on this machine:\n";
  console.out << "--hosts " << hosts << " --cert " << certificates.path("me.pem") << " --key "
              << certificates.path("me.key") << " --ca " << certificates.path("ca.pem") << std::endl;
  if (!console.out) return exit_ok;  // nobody can use them; that is told where commands are run
  const Flag never;
  (void)wait_for(never, &interrupts, -1);
  (void)interrupts.take();
  return exit_interrupted;
}

}  // namespace troupe::apps
