#pragma once

// Nodes that a launcher (mpirun, srun) starts all at once, with one command line for all: which of them a
// process is, and a folder that all of them and the program reach, in which they find each other.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "troupe/runtime/result.hpp"

namespace troupe::apps {

struct Rank {
  int number = 0, of = 1;
  int on_machine = 0;  ///< among those of the same machine
};
/// What the launcher's variables say; none: no launcher has started this process.
std::optional<Rank> rank_of_launcher();

/// This machine's name, as one of the certificates in the folder has it.
Result<std::string> name_with_certificate(const std::string& folder);

/// That a node listens, until it goes.
class Announcement {
 public:
  static Result<Announcement> make(const std::string& folder, const Rank& rank, const std::string& address);
  Announcement(Announcement&& other) noexcept;
  Announcement& operator=(Announcement&&) = delete;
  ~Announcement();

 private:
  Announcement(std::string file, std::string text) : file_(std::move(file)), text_(std::move(text)) {}
  std::string file_, text_;
};

/// Asks who listens at an address whether it is a node, for no longer than that. Errc::system of the
/// platform: nobody answers there now, or nobody who is one; any other error stays.
using AsksNode = std::function<Result<void>(const std::string& address, std::chrono::nanoseconds patience)>;
/// Hosts as they were given, with those of "@FOLDER" by their addresses, in the order of their ranks, once
/// all of them listen. A node that was killed leaves its announcement, so each is asked, and all of them once
/// more in the end. What is waited for is said once.
Result<std::vector<std::string>> hosts_found(const std::vector<std::string>& given, const AsksNode& asks,
                                             const std::function<void(const std::string&)>& says);

}  // namespace troupe::apps
