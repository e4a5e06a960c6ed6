// `troupe node`: this machine's chips for programs on other machines.
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <utility>

#include "command/commands.hpp"
#include "command/interrupts.hpp"
#include "nodes/built_in_file.hpp"
#include "nodes/node_process.hpp"
#include "nodes/ranks.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/nodes.hpp"

namespace troupe::apps {
namespace {

/// A node of a pod ends with who started it, also when that is on another machine.
void watch_input(const std::shared_ptr<Flag>& over) {
  start_thread(
      [over] {
        char byte = 0;
        for (;;) {
          const auto got = ::read(STDIN_FILENO, &byte, 1);
          if (got == 0 || (got < 0 && errno != EINTR)) return over->raise();
        }
      },
      "the end of the pod")
      .detach();
}

}  // namespace

int execute(const NodeCommand& command, Console& console) {
  Interrupts interrupts;
  CertificateMemory memory;  ///< of a node of a pod
  auto certificates = command.certificates;
  auto listen = command.listen;
  const auto rank = command.ranks.empty() ? std::nullopt : rank_of_launcher();
  std::string machine;  ///< of one of many ranks: its name
  if (!command.ranks.empty()) {
    const auto name = name_with_certificate(command.ranks);
    if (!name) {
      console.err << "troupe: " << render(name.error()) << "\n";
      return exit_cannot_start;
    }
    machine = *name;
    // A machine often takes its own name for one that only it can reach.
    listen = "0.0.0.0:0";
    const auto file = command.ranks + "/" + machine;
    if (certificates.certificate.empty()) certificates.certificate = file + ".pem";
    if (certificates.key.empty()) certificates.key = file + ".key";
    if (certificates.authority.empty()) certificates.authority = command.ranks + "/ca.pem";
  } else if (listen.empty()) {
    console.err << "troupe: --listen says where, or --ranks for nodes that a launcher starts\n";
    return exit_usage;
  }
  if (command.of_pod) {
    if (const auto taken = take_credentials(STDIN_FILENO, memory); !taken) {
      console.err << "troupe: " << render(taken.error()) << "\n";
      return exit_usage;
    }
    certificates = {memory.path("node.pem"), memory.path("node.key"), memory.path("ca.pem")};
  }
  std::mutex mutex;
  const auto say = [&](const std::string& text) {
    const std::lock_guard lock(mutex);
    console.err << "troupe node: " << text << std::endl;
  };
  platform::NodeOptions options;
  options.listen = listen;
  options.chips = command.chips;
  options.platform = command.platform;
  options.first_device = command.first_device.value_or(rank ? rank->on_machine * command.chips : 0);
  options.credentials = {certificates.certificate, certificates.key, certificates.authority};
  options.allowed = command.allowed;
  options.may_ship = command.may_ship;
  options.modules = command.modules;
  if (auto file = built_in_file(); !file.empty()) options.modules.push_back(std::move(file));
  options.silence = std::chrono::milliseconds(command.silence_ms);
  options.log = [&](const std::string& text) {
    if (console.log_level >= 2) say(text);
  };
  const auto node = platform::NodeServer::start(std::move(options));
  if (!node) {
    const bool usage = node.error() == platform::Errc::invalid_argument;
    console.err << "troupe: " << render(node.error()) << "\n";
    return usage ? exit_usage : exit_cannot_start;
  }
  auto where = (*node)->address();
  std::optional<Announcement> announcement;
  if (!machine.empty()) {
    where = machine + where.substr(where.rfind(':'));
    auto made = Announcement::make(command.ranks, rank.value_or(Rank{}), where);
    if (!made) {
      console.err << "troupe: " << render(made.error()) << "\n";
      return exit_cannot_start;
    }
    announcement.emplace(*std::move(made));
  }
  say("listens at " + where + " with " + std::to_string(command.chips) + " of " + command.platform);
  const auto over = std::make_shared<Flag>();
  if (command.of_pod) watch_input(over);
  (void)wait_for(*over, &interrupts, -1);
  (void)interrupts.take();
  say("ends");
  return exit_interrupted;
}

}  // namespace troupe::apps
