// The checks of `tiara doctor`: of the kernel, of this user's rights and limits, of one program.
#pragma once

#include <string>

#include "apps/common/findings.h"
#include "apps/common/program.h"

namespace tiara::apps {

void check_kernel(Findings& findings);  // userfaultfd, its features, and what --fault auto picks
void check_limits(
    Findings& findings);  // address space, overcommit, memory, cgroup, swap, huge pages
void check_rdma(Findings& findings);          // devices, and addresses for rdma://
void check_installation(Findings& findings);  // libtiara.so, memcached and zram for the benchmark
void check_program(const std::string& name, Findings& findings);

}  // namespace tiara::apps
