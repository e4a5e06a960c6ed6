#pragma once

#include <string>
#include <utility>
#include <vector>

#include "comm/child_process.hpp"

namespace troupe::comm::test {

/// A running `peer_main` process.
struct Peer : ChildProcess {
  explicit Peer(std::vector<std::string> arguments) : ChildProcess(TROUPE_COMM_PEER, std::move(arguments)) {}
};

}  // namespace troupe::comm::test
