// `troupe node`: this machine's chips for programs on other machines.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <ostream>
#include <system_error>

#include "command/commands.hpp"
#include "command/interrupts.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/platform/nodes.hpp"

namespace troupe::apps {
namespace {

/// The built-in programs' kernels, which every installation has.
void add_built_in(std::vector<std::string>& modules) {
  const auto chip = platform::chip_program();
  if (!chip) return;
  const auto beside = std::filesystem::path(*chip).parent_path();
  for (const auto& folder : {beside, beside.parent_path()}) {  // as installed, as built
    const auto file = folder / "modules" / "libtroupe_examples.so";
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) continue;
    modules.push_back(file.string());
    return;
  }
}

}  // namespace

int execute(const NodeCommand& command, Console& console) {
  if (command.parent != 0) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != command.parent) return exit_interrupted;  // that has happened already
  }
  Interrupts interrupts;
  std::mutex mutex;
  const auto say = [&](const std::string& text) {
    const std::lock_guard lock(mutex);
    console.err << "troupe node: " << text << std::endl;
  };
  platform::NodeOptions options;
  options.listen = command.listen;
  options.chips = command.chips;
  options.platform = command.platform;
  options.first_device = command.first_device;
  options.credentials = {command.certificates.certificate, command.certificates.key,
                         command.certificates.authority};
  options.allowed = command.allowed;
  options.may_ship = command.may_ship;
  options.modules = command.modules;
  add_built_in(options.modules);
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
  say("listens at " + (*node)->address() + " with " + std::to_string(command.chips) + " of " +
      command.platform);
  const Flag never;
  (void)wait_for(never, &interrupts, -1);
  (void)interrupts.take();
  say("ends");
  return exit_interrupted;
}

}  // namespace troupe::apps
