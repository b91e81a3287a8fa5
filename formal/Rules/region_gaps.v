(** rules.md, region_gaps: how far the wrong outputs of each class are ahead of the label, at most, in each region. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Dyadic Integer.Tables Real.ScaledExp Facts Count.Counting.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Listing Regions.Longest Regions.Labels.
From Compact Require Import General.Balls General.Tables General.Ends General.Problem General.InRegions General.Joint General.Statements.
Import ListNotations.
Open Scope Z_scope.

Section Program.
Variables (w : layer_weights) (P : problem) (margin : fraction) (bits : Z).
Notation L := (layer_of w).
Notation m := (size_m w).
Notation r := (readout P).

(** What is needed of the layer, worked out once: by query, then by head, what each token weighs at each position. *)
Record prepared := Prepared { its_tables : layer_tables; its_powers : list (list (list (list (option power)))) }.

Definition prepare (groups : list group) : prepared :=
  let tables := tables_of_layer w bits r (seen_positions w P) in
  Prepared tables (map (fun q => if existsb (fun g => asks g q) groups then map (powers_of (scaled tables) r q) (of_heads tables) else [])
    (seq 0 (size_v w))).

(** A class of wrong outputs, and what each gains by head, position and token. *)
Record watched := Watched { its_outputs : list nat; its_gains : list (list (list Z)) }.

Definition watch (ready : prepared) (g : group) : list watched :=
  map (fun mask => let ys := outputs_in m mask in Watched ys (map (gains_of (Groups.label_of g) ys) (of_heads (its_tables ready)))) (Groups.rivals g).

(** The weights of the heads in a region, if all are known. *)
Definition weights_in (ready : prepared) (rg : region) : outcome (list weighed) :=
  let flags := flags_of w P rg in
  let powers := nth (query rg) (its_powers ready) [] in
  require (forallb (all_known flags) powers) too_coarse (Fine (map (fun one => weighed_in rg (ends_read flags one)) powers)).

Definition constant_in (ready : prepared) (rg : region) (ys : list nat) : Z :=
  constant_of w bits margin (Groups.label_of (group_of rg)) ys (nth (query rg) (passing (its_tables ready)) (Ball [] 0)).

Definition gap_of (ready : prepared) (rg : region) (weights : list weighed) (class : watched) (hint : list Z) : outcome Z :=
  require (Nat.eqb (length hint) (length weights)) wrong_shape
  (require (forallb (fun one : (list (list Z) * weighed) * Z => let '((gains, e), mean) := one in
      longest (as_table (worst_terms mean gains (its_ends e))) (layers rg) <=? 0) (combine (combine (its_gains class) weights) hint)) mean_above_bound
  (Fine (constant_in ready rg (its_outputs class) + add_up hint))).

Fixpoint gaps_of_classes (ready : prepared) (rg : region) (weights : list weighed) (classes : list watched) (hints : list (list Z)) : outcome (list Z) :=
  match classes, hints with
  | [], [] => Fine []
  | class :: classes', hint :: hints' =>
      match gap_of ready rg weights class hint with
      | Refused why => Refused why
      | Fine gap => match gaps_of_classes ready rg weights classes' hints' with Refused why => Refused why | Fine rest => Fine (gap :: rest) end
      end
  | _, _ => Refused wrong_shape
  end.

(** Region by region, with the hints that are left. *)
Fixpoint gaps_of_regions (ready : prepared) (classes : list watched) (regions : list region) (hints : list (list (list Z)))
  : outcome (list (list Z) * list (list (list Z))) :=
  match regions with
  | [] => Fine ([], hints)
  | rg :: regions' =>
      match hints with
      | [] => Refused wrong_shape
      | hint :: hints' =>
          require (Nat.eqb (length hint) (length classes)) wrong_shape
          match weights_in ready rg with
          | Refused why => Refused why
          | Fine weights =>
              match gaps_of_classes ready rg weights classes hint with
              | Refused why => Refused why
              | Fine row =>
                  match gaps_of_regions ready classes regions' hints' with
                  | Refused why => Refused why
                  | Fine (rows, unread) => Fine (row :: rows, unread)
                  end
              end
          end
      end
  end.

Fixpoint gaps_of_groups (ready : prepared) (number : nat) (groups : list group) (hints : list (list (list Z))) : outcome (list (list Z)) :=
  match groups with
  | [] => match hints with [] => Fine [] | _ => Refused wrong_shape end
  | g :: rest =>
      match gaps_of_regions ready (watch ready g) (regions_of_group r (allowed P) number g) hints with
      | Refused why => Refused why
      | Fine (rows, unread) =>
          match gaps_of_groups ready (S number) rest unread with Refused why => Refused why | Fine more => Fine (rows ++ more) end
      end
  end.

Definition region_gaps (groups : list group) (ranges : list (list Z)) (hints : list (list (list Z))) : outcome statement :=
  match gaps_of_groups (prepare groups) 0 groups hints with
  | Refused why => Refused why
  | Fine gaps => Fine (Region_gaps bits groups ranges gaps)
  end.
End Program.

Section Sound.
Variables (w : layer_weights) (P : problem) (margin : fraction) (bits : Z) (groups : list group).
Hypothesis fits : problem_fits w P = true.
Hypothesis natural : 0 <= bits.
Hypothesis positive : 0 < snd margin.
Hypothesis right : Forall (fun g => group_right w P g = true) groups.
Notation L := (layer_of w).
Notation m := (size_m w).
Notation r := (readout P).
Notation ready := (prepare w P bits groups).
Notation all_regions := (regions_of r (allowed P) groups).

Lemma group_among : forall rg, In rg all_regions -> In (group_of rg) groups /\ asks (group_of rg) (query rg) = true /\ group_right w P (group_of rg) = true.
Proof.
  intros rg I. destruct (regions_right r (allowed P) groups rg I) as (N & Q & _). apply nth_error_In in N. split; [exact N|].
  unfold queries_of in Q. apply filter_In in Q. split; [apply Q|]. rewrite Forall_forall in right. now apply right.
Qed.

Lemma label_small : forall rg, In rg all_regions -> (Groups.label_of (group_of rg) < m)%nat.
Proof.
  intros rg I. destruct (group_among rg I) as (_ & _ & V). unfold group_right, valid in V. rewrite !andb_true_iff in V.
  destruct V as [[[[_ V] _] _] _]. now apply Nat.ltb_lt.
Qed.

Lemma powers_ready : forall rg x, In rg all_regions -> In x (inputs (allowed P)) -> member r rg x = true ->
  nth (query rg) (its_powers ready) [] = map (powers_at w P bits (query rg)) (of_heads (its_tables ready)).
Proof.
  intros rg x I input inside. destruct (group_among rg I) as (G & A & _). pose proof (query_small w P rg x fits input inside) as small.
  unfold prepare. cbn [its_powers its_tables]. rewrite (Matrix.nth_map _ _ _ _ _ 0%nat []) by (rewrite seq_length; exact small).
  rewrite seq_nth by exact small. cbn [Nat.add]. replace (existsb _ groups) with true; [reflexivity|].
  symmetry. apply existsb_exists. now exists (group_of rg).
Qed.

Lemma weights_ready : forall rg x weights, In rg all_regions -> In x (inputs (allowed P)) -> member r rg x = true ->
  weights_in w P ready rg = Fine weights ->
  forallb (fun one => all_known (flags_of w P rg) (powers_at w P bits (query rg) one)) (of_heads (its_tables ready)) = true /\
  weights = map (fun one => weighed_in rg (ends_read (flags_of w P rg) (powers_at w P bits (query rg) one))) (of_heads (its_tables ready)).
Proof.
  intros rg x weights I input inside E. unfold weights_in in E. rewrite (powers_ready rg x) in E by assumption.
  apply require_fine in E. destruct E as [K E]. apply fine_eq in E. rewrite map_map in E. split; [|now symmetry].
  rewrite forallb_forall in *. intros one J. apply K. now apply in_map.
Qed.

Lemma heads_ready : Forall2 (head_right w bits r (seen_positions w P)) (attn_heads w) (of_heads (its_tables ready)).
Proof.
  apply heads_right; auto; [now apply (fits_parts w P) | apply (seen_fits w P fits) | now apply positions_exist].
Qed.

Lemma gap_right : forall rg weights mask hint gap, In rg all_regions -> weights_in w P ready rg = Fine weights ->
  gap_of w margin bits ready rg weights (Watched (outputs_in m mask) (map (gains_of (Groups.label_of (group_of rg)) (outputs_in m mask)) (of_heads (its_tables ready)))) hint = Fine gap ->
  class_behind w P (value_of margin) bits rg mask gap.
Proof.
  intros rg weights mask hint gap I W E x y input inside Y. pose proof (label_small rg I) as C.
  destruct (weights_ready rg x weights I input inside W) as [known ->].
  unfold gap_of in E. cbn [its_gains its_outputs] in E. apply require_fine in E. destruct E as [Len E]. apply Nat.eqb_eq in Len. rewrite map_length in Len.
  apply require_fine in E. destruct E as [all E]. apply fine_eq in E. subst gap.
  pose proof (proj1 (in_outputs_in _ _ _) Y) as [y_small _].
  pose proof (ahead_in_units w P bits rg x fits natural input inside (Groups.label_of (group_of rg)) (outputs_in m mask) y C y_small Y margin positive) as ahead.
  rewrite plus_IZR. apply Rle_trans with (1 := ahead). unfold constant_in. apply Rplus_le_compat; [apply Rle_refl|].
  apply (all_hinted w P bits groups rg x fits natural I input inside (Groups.label_of (group_of rg)) (outputs_in m mask) y C y_small Y (attn_heads w) _ heads_ready known hint Len).
  rewrite forallb_forall in all |- *. intros [one mean] J. cbn [fst snd].
  refine (all ((gains_of (Groups.label_of (group_of rg)) (outputs_in m mask) one, weighed_in rg (ends_read (flags_of w P rg) (powers_at w P bits (query rg) one))), mean) _).
  clear - J. revert hint J. induction (of_heads (its_tables ready)) as [|o os IH]; intros [|h hint] J; cbn in *; try contradiction.
  destruct J as [J|J]; [left; now inversion J | right; now apply IH].
Qed.

Lemma gaps_of_classes_right : forall rg weights hints row, In rg all_regions -> weights_in w P ready rg = Fine weights ->
  gaps_of_classes w margin bits ready rg weights (watch w ready (group_of rg)) hints = Fine row ->
  Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) row.
Proof.
  intros rg weights hints row I W. unfold watch. revert hints row. induction (Groups.rivals (group_of rg)) as [|mask masks IH]; intros hints row E; cbn [map gaps_of_classes] in E.
  - destruct hints; [|discriminate]. inversion E. constructor.
  - destruct hints as [|hint hints]; [discriminate|]. destruct (gap_of _ _ _ _ _ _ _ _) as [gap|] eqn:One; [|discriminate].
    destruct (gaps_of_classes _ _ _ _ _ _ _ _) as [rest|] eqn:More; [|discriminate]. inversion E; subst. constructor.
    + now apply gap_right with (weights := weights) (hint := hint).
    + now apply (IH hints).
Qed.

Lemma gaps_of_regions_right : forall g regions hints rows unread, (forall rg, In rg regions -> In rg all_regions /\ group_of rg = g) ->
  gaps_of_regions w P margin bits ready (watch w ready g) regions hints = Fine (rows, unread) ->
  Forall2 (fun rg row => Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) row) regions rows.
Proof.
  intros g. induction regions as [|rg regions IH]; intros hints rows unread sub E; cbn [gaps_of_regions] in E; [inversion E; constructor|].
  destruct hints as [|hint hints]; [discriminate|]. apply require_fine in E. destruct E as [_ E].
  destruct (weights_in w P ready rg) as [weights|] eqn:W; [|discriminate].
  destruct (gaps_of_classes _ _ _ _ _ _ _ _) as [row|] eqn:Row; [|discriminate].
  destruct (gaps_of_regions _ _ _ _ _ _ _ _) as [[rows' unread']|] eqn:Rest; [|discriminate]. inversion E; subst.
  destruct (sub rg ltac:(now left)) as [I G]. constructor.
  - apply gaps_of_classes_right with (weights := weights) (hints := hint); auto. now rewrite G.
  - apply IH with (hints := hints) (unread := unread); [intros; apply sub; now right | exact Rest].
Qed.

Lemma gaps_of_groups_right : forall rest number hints gaps,
  (forall rg, In rg (regions_from r (allowed P) number rest) -> In rg all_regions) ->
  gaps_of_groups w P margin bits ready number rest hints = Fine gaps ->
  Forall2 (fun rg row => Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) row) (regions_from r (allowed P) number rest) gaps.
Proof.
  induction rest as [|g rest IH]; intros number hints gaps sub E; cbn [gaps_of_groups regions_from] in *.
  - destruct hints; [|discriminate]. inversion E. constructor.
  - destruct (gaps_of_regions _ _ _ _ _ _ _ _) as [[rows unread]|] eqn:Rows; [|discriminate].
    destruct (gaps_of_groups _ _ _ _ _ _ _ _) as [more|] eqn:More; [|discriminate]. inversion E; subst. apply Forall2_app.
    + apply gaps_of_regions_right with (g := g) (hints := hints) (unread := unread); [|exact Rows].
      intros rg I. split; [apply sub, in_app_iff; now left|]. now apply in_regions_of_group in I.
    + apply IH with (hints := unread); [|exact More]. intros rg I. apply sub, in_app_iff. now right.
Qed.

Theorem region_gaps_sound : forall ranges hints f, region_gaps w P margin bits groups ranges hints = Fine f -> means w P (value_of margin) f.
Proof.
  intros ranges hints f E. unfold region_gaps in E. destruct (gaps_of_groups _ _ _ _ _ _ _ _) as [gaps|] eqn:G; [|discriminate].
  inversion E; subst. cbn [means]. split; [exact natural|]. split; [exact right|]. unfold all_behind.
  apply gaps_of_groups_right with (hints := hints); [auto | exact G].
Qed.
End Sound.
