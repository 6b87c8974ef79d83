# tofu test (or terraform test), in modules/names. Nothing here asks Google.

variables {
  project_number = "123456789012"
  repositories   = ["images", "base"]
  clusters       = { prod = {} }
  pull           = [{ cluster = "prod", namespace = "backend", service_account = "default" }]
}

run "one_cluster" {
  command = plan

  assert {
    condition     = output.pools == { k8s-prod = "prod" }
    error_message = "The pool is named after the cluster."
  }

  assert {
    condition     = output.providers["prod"].audience == "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/providers/k8s-prod"
    error_message = "The audience is the provider's full name, by the project's number."
  }

  assert {
    condition     = output.providers["prod"].attribute_condition == "assertion.sub in ['system:serviceaccount:backend:default']"
    error_message = "Only who pulls may come in."
  }

  assert {
    condition = output.readers == {
      for repository in ["base", "images"] : "${repository} prod/backend/default" => {
        repository = repository
        member     = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/subject/system:serviceaccount:backend:default"
      }
    }
    error_message = "Without a list, a puller reads every repository."
  }

  assert {
    condition     = !contains(keys(output.providers["prod"].attribute_mapping), "attribute.pod")
    error_message = "The pod is mapped only on request."
  }
}

run "long_names_are_cut_and_told_apart" {
  command = plan

  variables {
    clusters = {
      a-very-long-name-of-a-cluster-in-europe-west4 = {}
      a-very-long-name-of-a-cluster-in-europe-west1 = {}
    }
    pull = [
      { cluster = "a-very-long-name-of-a-cluster-in-europe-west4" },
      { cluster = "a-very-long-name-of-a-cluster-in-europe-west1" },
    ]
  }

  assert {
    condition     = length(output.pools) == 2 && alltrue([for id in keys(output.pools) : length(id) <= 32])
    error_message = "Two ids of at most 32 characters."
  }
}

run "whole_namespaces_and_clusters" {
  command = plan

  variables {
    clusters = { one = {}, two = {} }
    pull = [
      { cluster = "one", namespace = "b", repositories = ["base"] },
      { cluster = "one", namespace = "a", service_account = "x", repositories = ["base"] },
      { cluster = "one", namespace = "b", service_account = "y", repositories = ["base"] },
      { cluster = "two", repositories = ["base"] },
    ]
  }

  assert {
    condition     = output.providers["one"].attribute_condition == "assertion.sub in ['system:serviceaccount:a:x'] || assertion['kubernetes.io']['namespace'] in ['b']"
    error_message = "A namespace holds its ServiceAccounts."
  }

  assert {
    condition     = output.providers["two"].attribute_condition == null
    error_message = "A whole cluster needs no condition."
  }

  assert {
    condition     = endswith(output.readers["base two/*/*"].member, "/workloadIdentityPools/k8s-two/*")
    error_message = "A cluster with a pool of its own is the whole pool."
  }
}

run "a_shared_pool_tells_clusters_apart" {
  command = plan

  variables {
    shared_pool = "clusters"
    clusters    = { one = { map_pod = true }, two = {} }
    pull = [
      { cluster = "one", namespace = "a", service_account = "x", repositories = ["base"] },
      { cluster = "one", namespace = "b", repositories = ["base"] },
      { cluster = "two", repositories = ["base"] },
    ]
  }

  assert {
    condition     = output.pools == { clusters = "clusters" }
    error_message = "One pool."
  }

  assert {
    condition = [for key in ["base one/a/x", "base one/b/*", "base two/*/*"] : split("/clusters/", output.readers[key].member)[1]] == [
      "subject/one::system:serviceaccount:a:x",
      "attribute.cluster_namespace/one::b",
      "attribute.cluster/two",
    ]
    error_message = "Every member says which cluster."
  }

  assert {
    condition     = alltrue([for name, value in output.providers["one"].attribute_mapping : strcontains(value, "'one")])
    error_message = "Every mapped attribute says which cluster."
  }
}

run "impersonation" {
  command = plan

  variables {
    clusters = { one = { google_service_account = "all@p.iam.gserviceaccount.com" } }
    pull = [
      { cluster = "one", namespace = "a", service_account = "x", repositories = ["base"] },
      { cluster = "one", namespace = "a", service_account = "y", repositories = ["base"] },
      { cluster = "one", namespace = "a", service_account = "z", repositories = ["base"], google_service_account = "z@p.iam.gserviceaccount.com" },
    ]
  }

  assert {
    condition     = [for reader in output.readers : reader.member] == ["serviceAccount:all@p.iam.gserviceaccount.com", "serviceAccount:z@p.iam.gserviceaccount.com"]
    error_message = "The accounts read, each once."
  }

  assert {
    condition     = length(output.users) == 3 && output.accounts == toset(["all@p.iam.gserviceaccount.com", "z@p.iam.gserviceaccount.com"])
    error_message = "The principals impersonate."
  }
}

run "accounts_read_what_their_namespace_and_cluster_read" {
  command = plan

  variables {
    clusters = { one = {}, two = {} }
    pull = [
      { cluster = "one", namespace = "a", repositories = ["base"] },
      { cluster = "one", namespace = "a", service_account = "x", repositories = ["images"], google_service_account = "x@p.iam.gserviceaccount.com" },
      { cluster = "one", namespace = "b", service_account = "x", repositories = ["images"], google_service_account = "b@p.iam.gserviceaccount.com" },
      { cluster = "two", repositories = ["base"] },
      { cluster = "two", namespace = "a", service_account = "x", repositories = ["images"], google_service_account = "y@p.iam.gserviceaccount.com" },
    ]
  }

  assert {
    condition = keys(output.readers) == [
      "base one/a/*",
      "base two/*/*",
      "base x@p.iam.gserviceaccount.com",
      "base y@p.iam.gserviceaccount.com",
      "images b@p.iam.gserviceaccount.com",
      "images x@p.iam.gserviceaccount.com",
      "images y@p.iam.gserviceaccount.com",
    ]
    error_message = "An account pulls for its ServiceAccount, whichever entry that pulls by."
  }
}

run "the_same_entry_twice" {
  command = plan

  variables {
    pull = [
      { cluster = "prod", namespace = "a", repositories = ["base"] },
      { cluster = "prod", namespace = "a", repositories = ["images"] },
    ]
  }

  expect_failures = [output.readers]
}

run "long_conditions_go_by_namespace" {
  command = plan

  variables {
    pull = [for number in range(200) : { cluster = "prod", namespace = "team-${number % 10}", service_account = "account-${number}", repositories = ["base"] }]
  }

  assert {
    condition     = startswith(output.providers["prod"].attribute_condition, "assertion['kubernetes.io']['namespace'] in ['team-0', 'team-1', ")
    error_message = "All by namespace where the exact condition is too long."
  }
}

run "too_many_namespaces" {
  command = plan

  variables {
    pull = [for number in range(400) : { cluster = "prod", namespace = "namespace-${number}", repositories = ["base"] }]
  }

  expect_failures = [output.providers]
}

run "a_long_subject" {
  command = plan

  variables {
    pull = [{ cluster = "prod", namespace = "backend", service_account = join("", [for _ in range(13) : "0123456789"]) }]
  }

  expect_failures = [output.readers]
}

run "an_unknown_cluster" {
  command = plan

  variables {
    pull = [{ cluster = "prod" }, { cluster = "prd" }]
  }

  expect_failures = [output.readers]
}

run "an_unknown_repository" {
  command = plan

  variables {
    pull = [{ cluster = "prod", repositories = ["imges"] }]
  }

  expect_failures = [output.readers]
}

run "nobody_pulls" {
  command = plan

  variables {
    pull = []
  }

  expect_failures = [output.providers]
}

run "the_same_pool_twice" {
  command = plan

  variables {
    clusters = { one = { pool = "mine" }, two = { pool = "mine" } }
    pull     = [{ cluster = "one" }, { cluster = "two" }]
  }

  expect_failures = [output.pools]
}

run "a_wildcard" {
  command = plan

  variables {
    pull = [{ cluster = "prod", namespace = "team-*" }]
  }

  expect_failures = [var.pull]
}

run "a_service_account_without_namespace" {
  command = plan

  variables {
    pull = [{ cluster = "prod", service_account = "default" }]
  }

  expect_failures = [var.pull]
}

run "googles_own_prefix" {
  command = plan

  variables {
    clusters = { prod = { pool = "gcp-pool" } }
  }

  expect_failures = [var.clusters]
}

run "a_short_id" {
  command = plan

  variables {
    shared_pool = "abc"
  }

  expect_failures = [var.shared_pool]
}

run "accounts_that_undo_no_limit" {
  command = plan

  variables {
    clusters = { one = { google_service_account = "all@p.iam.gserviceaccount.com" }, two = {} }
    pull = [
      { cluster = "one", namespace = "a", repositories = ["base"] },
      { cluster = "one", namespace = "b", repositories = ["base"] },
      { cluster = "one", namespace = "a", service_account = "x", repositories = ["images"], google_service_account = "x@p.iam.gserviceaccount.com" },
      { cluster = "two", namespace = "a", service_account = "x", repositories = ["images", "base"], google_service_account = "x@p.iam.gserviceaccount.com" },
      { cluster = "two", namespace = "b", repositories = ["images"] },
    ]
  }

  assert {
    condition     = keys(output.readers) == ["base all@p.iam.gserviceaccount.com", "base x@p.iam.gserviceaccount.com", "images two/b/*", "images x@p.iam.gserviceaccount.com"]
    error_message = "An account reads what each that pulls as it is given."
  }
}

run "two_namespaces_of_one_account" {
  command = plan

  variables {
    clusters = { prod = { google_service_account = "all@p.iam.gserviceaccount.com" } }
    pull     = [{ cluster = "prod", namespace = "a", repositories = ["base"] }, { cluster = "prod", namespace = "b", repositories = ["images"] }]
  }

  expect_failures = [output.readers]
}

run "two_clusters_of_one_account" {
  command = plan

  variables {
    clusters = { one = { google_service_account = "all@p.iam.gserviceaccount.com" }, two = { google_service_account = "all@p.iam.gserviceaccount.com" } }
    pull     = [{ cluster = "one" }, { cluster = "two", repositories = ["base"] }]
  }

  expect_failures = [output.readers]
}

run "two_service_accounts_of_one_account_by_a_namespace" {
  command = plan

  variables {
    pull = [
      { cluster = "prod", namespace = "a", repositories = ["images"] },
      { cluster = "prod", namespace = "a", service_account = "x", repositories = ["base"], google_service_account = "x@p.iam.gserviceaccount.com" },
      { cluster = "prod", namespace = "b", service_account = "x", repositories = ["base"], google_service_account = "x@p.iam.gserviceaccount.com" },
    ]
  }

  expect_failures = [output.readers]
}

run "the_same_provider_twice_in_a_shared_pool" {
  command = plan

  variables {
    shared_pool = "clusters"
    clusters    = { one = { provider = "prod-k8s" }, two = { provider = "prod-k8s" } }
    pull        = [{ cluster = "one" }, { cluster = "two" }]
  }

  expect_failures = [output.providers]
}

run "the_same_provider_in_pools_of_their_own" {
  command = plan

  variables {
    clusters = { one = { provider = "prod-k8s" }, two = { provider = "prod-k8s" } }
    pull     = [{ cluster = "one" }, { cluster = "two" }]
  }

  assert {
    condition     = length(distinct([for provider in values(output.providers) : provider.audience])) == 2
    error_message = "The pools tell them apart."
  }
}

run "a_pool_beside_the_shared_one" {
  command = plan

  variables {
    shared_pool = "clusters"
    clusters    = { prod = { pool = "own-pool" } }
  }

  expect_failures = [output.pools]
}

run "no_repositories" {
  command = plan

  variables {
    pull = [{ cluster = "prod", repositories = [] }]
  }

  expect_failures = [var.pull]
}
