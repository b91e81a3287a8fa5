(** What the theorem rests on; formal/Makefile compares it with axioms.txt. *)
From Compact Require Import Main.
Print Assumptions accepted_claims_are_true.
Print Assumptions accepted_claims_by_regions_are_true.
Print Assumptions accepted_claims_about_problems_are_true.
Print Assumptions accepted_profiles_are_true.
