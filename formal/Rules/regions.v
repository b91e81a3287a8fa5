(** rules.md, regions: inputs of one label each. Without neurons there are no ranges to bound. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Facts.
From Compact Require Import Regions.Groups Regions.Listing Regions.Labels General.Tables General.Problem General.Statements.
Import ListNotations.
Open Scope Z_scope.

Section Rule.
Variables (w : layer_weights) (P : problem).
Notation m := (size_m w).

Definition require_group (g : group) : outcome unit :=
  require (automaton_fits g (size_v w)) bad_automaton
  (require (Nat.ltb (Groups.label_of g) m && forallb (watches g m) (Groups.rivals g) && queries_fit (readout P) (allowed P) g) no_such_region
  (require (labels_fit (start (answer P)) (step_read P) (label_number w P) same_state state_before (readout P) (allowed P) g) wrong_label (Fine tt))).

Fixpoint require_groups (groups : list group) : outcome unit :=
  match groups with
  | [] => Fine tt
  | g :: rest => match require_group g with Fine _ => require_groups rest | Refused why => Refused why end
  end.

(** No hints are needed; there is an entry without any for each region. *)
Definition regions (bits : Z) (groups : list group) (hints : list (list (list Z))) : outcome statement :=
  require (0 <=? bits) out_of_range
  match require_groups groups with
  | Refused why => Refused why
  | Fine _ =>
      require (Nat.eqb (length hints) (length (regions_of (readout P) (allowed P) groups)) && forallb (fun rows => Nat.eqb (length rows) 0) hints) wrong_shape
      (Fine (Regions bits groups (map (fun _ => []) hints)))
  end.

Theorem regions_sound : forall margin bits groups hints f, regions bits groups hints = Fine f -> means w P margin f.
Proof.
  intros margin bits groups hints f E. unfold regions in E. apply require_fine in E. destruct E as [B E]. apply Z.leb_le in B.
  destruct (require_groups groups) as [[]|] eqn:G; [|discriminate]. apply require_fine in E. destruct E as [_ E]. inversion E; subst.
  split; [exact B|]. clear B E. induction groups as [|g groups IH]; [constructor|]. cbn [require_groups] in G.
  destruct (require_group g) as [[]|] eqn:One; [|discriminate]. constructor; [|exact (IH G)].
  unfold require_group in One. apply require_fine in One. destruct One as [A One]. apply require_fine in One. destruct One as [C One].
  apply require_fine in One. destruct One as [D _]. rewrite !andb_true_iff in C. unfold group_right, valid. rewrite !andb_true_iff. tauto.
Qed.
End Rule.
