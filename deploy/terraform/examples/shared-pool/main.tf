# Two clusters in one pool: every mapped attribute, and so every member, says which cluster.

module "pulls" {
  source = "../.."

  project_id  = "my-project"
  shared_pool = "kubernetes"

  clusters = {
    edge = {
      issuer    = "https://kubernetes.default.svc.cluster.local"
      jwks_json = file("${path.module}/edge.jwks.json")
    }
    aws = {
      issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"
    }
  }

  repositories = {
    images = { location = "europe" }
    base   = { location = "us", repository = "base-images", project = "other-project" }
  }

  pull = [
    { cluster = "edge", namespace = "backend", service_account = "default" },
    { cluster = "aws", repositories = ["base"] },
  ]
}

output "audiences" {
  description = "GCP_AUDIENCE of each cluster."
  value       = module.pulls.audiences
}
