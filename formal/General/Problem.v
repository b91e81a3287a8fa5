(** A problem as the rules about regions see it: its label as an automaton, the tokens that a region reads. *)

From Coq Require Import Reals ZArith List Lia Arith Bool Permutation.
From Compact Require Import Spec.Model Spec.General Count.Counting Count.Packed.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Building Regions.Listing Regions.Longest Regions.Labels.
From Compact Require Import General.Heads General.Balls General.Tables General.Ends.
Import ListNotations.
Open Scope Z_scope.

(** ** All inputs *)

Definition weight_of_row (row : list (nat * Z)) : Z := fold_right (fun choice rest => snd choice + rest) 0 row.

Lemma input_by_weight : forall rows x, Inputs.distinct rows -> Inputs.positive rows -> (In x (inputs rows) <-> 0 < weight_of_input rows x).
Proof.
  intros rows x D pos. split.
  - intros I. change (0 < Inputs.weight_in rows x). apply in_inputs in I. destruct I as (a & I & <-).
    rewrite weight_in_member by assumption. now apply weight_along_positive with (1 := pos).
  - clear D. revert x. induction rows as [|row rows IH]; intros [|t x] H; cbn [weight_of_input] in H; try (cbn in H; lia); [now left|].
    inversion pos as [|? ? P1 P2]; subst. apply inputs_cons.
    assert (W : 0 <= General.weight_in row t /\ (General.weight_in row t <> 0 -> In t (map fst row))).
    { unfold General.weight_in. destruct (find _ row) as [choice|] eqn:F; [|split; [lia | contradiction]].
      apply find_some in F. destruct F as [I E]. apply Nat.eqb_eq in E. rewrite Forall_forall in P1. specialize (P1 choice I).
      split; [lia|]. intros _. rewrite in_map_iff. now exists choice. }
    destruct W as [W1 W2]. split; [apply W2; nia | apply (IH P2); nia].
Qed.

Lemma total_of_inputs : forall rows, Inputs.distinct rows -> total_weight rows (inputs rows) = fold_right (fun row rest => weight_of_row row * rest) 1 rows.
Proof.
  intros rows D. transitivity (weigh (fun _ => true) rows).
  - rewrite weigh_inputs by exact D. induction (inputs rows) as [|x l IH]; [reflexivity|]. cbn [filter map add_up total_weight fold_right].
    rewrite <- IH. reflexivity.
  - clear D. unfold weigh. induction rows as [|row rows IH]; [reflexivity|]. cbn [sum_of fold_right]. rewrite <- IH.
    generalize (sum_of (fun _ : list nat => one_if true) rows) as n. intros n. clear IH.
    induction row as [|a row IHrow]; [reflexivity|]. cbn [map add_up weight_of_row fold_right]. rewrite IHrow. unfold weight_of_row. ring.
Qed.

Section Problem.
Variables (w : layer_weights) (P : problem).

(** Tokens below d_vocab, each once at a position, of positive weight; positions that the model has. *)
Fixpoint all_different (l : list nat) : bool :=
  match l with [] => true | t :: rest => negb (existsb (Nat.eqb t) rest) && all_different rest end.

Definition row_fits (row : list (nat * Z)) : bool :=
  forallb (fun a => Nat.ltb (fst a) (size_v w) && (0 <? snd a)) row && all_different (map fst row).

Definition problem_fits : bool :=
  well_shaped w && Nat.ltb (readout P) (length (allowed P)) && Nat.leb (length (allowed P)) (length (rows (embed_pos w)))
  && forallb row_fits (allowed P).

Definition seen_positions : nat := if is_causal w then S (readout P) else length (allowed P).

Hypothesis fits : problem_fits = true.

Lemma fits_parts : well_shaped w = true /\ (readout P < length (allowed P))%nat /\ (length (allowed P) <= length (rows (embed_pos w)))%nat /\
  distinct (allowed P) /\ positive (allowed P) /\
  Forall (Forall (fun a => (fst a < size_v w)%nat)) (allowed P).
Proof.
  unfold problem_fits in fits. rewrite !andb_true_iff, Nat.ltb_lt, Nat.leb_le, forallb_forall in fits. destruct fits as [[[S R] N] all].
  repeat split; try assumption; apply Forall_forall; intros row I; specialize (all row I); unfold row_fits in all;
    rewrite andb_true_iff, forallb_forall in all; destruct all as [each apart].
  - clear each. induction (map fst row) as [|t l IH]; [constructor|]. cbn [all_different] in apart. apply andb_prop in apart. destruct apart as [A B].
    constructor; [|now apply IH]. intros J. apply negb_true_iff in A. rewrite <- not_true_iff_false in A. apply A, existsb_exists.
    exists t. split; [exact J | apply Nat.eqb_refl].
  - apply Forall_forall. intros a J. specialize (each a J). apply andb_prop in each. destruct each as [_ each]. now apply Z.ltb_lt.
  - apply Forall_forall. intros a J. specialize (each a J). apply andb_prop in each. destruct each as [each _]. now apply Nat.ltb_lt.
Qed.

Lemma seen_fits : (readout P < seen_positions)%nat /\ (seen_positions <= length (allowed P))%nat.
Proof. pose proof fits_parts as (_ & R & _). unfold seen_positions. destruct (is_causal w); lia. Qed.

(** ** Inputs *)

Lemma input_length : forall x, In x (inputs (allowed P)) -> length x = length (allowed P).
Proof. apply inputs_length. Qed.

Lemma input_token : forall x p, In x (inputs (allowed P)) -> (p < length (allowed P))%nat -> (nth p x 0 < size_v w)%nat.
Proof.
  pose proof fits_parts as (_ & _ & _ & _ & _ & small). revert small. generalize (allowed P) as c. intros c small x p I.
  apply in_product in I. revert p. remember (map (map fst) c) as rows eqn:E. revert c small E.
  induction I as [|t row x rows' J _ IH]; intros [|choice c] small E p H; try discriminate; [simpl in H; lia|].
  inversion E; subst. inversion small as [|? ? S1 S2]; subst. destruct p as [|p]; cbn [nth].
  - rewrite in_map_iff in J. destruct J as (a & <- & J). rewrite Forall_forall in S1. now apply S1.
  - apply (IH c); [assumption | reflexivity | simpl in H; lia].
Qed.

Lemma visible_of_input : forall x, In x (inputs (allowed P)) -> visible (layer_of w) x (readout P) = seen_positions.
Proof. intros x I. unfold visible, seen_positions. cbn [causal layer_of]. now rewrite (input_length x I). Qed.

Lemma weight_same : forall rows x, weight_of_input rows x = weight_in rows x.
Proof. reflexivity. Qed.

Lemma weight_positive : forall x, In x (inputs (allowed P)) -> 0 < weight_of_input (allowed P) x.
Proof.
  pose proof fits_parts as (_ & _ & _ & D & pos & _). intros x I. rewrite weight_same. apply in_inputs in I. destruct I as (a & I & <-).
  rewrite weight_in_member by assumption. now apply weight_along_positive with (1 := pos).
Qed.

(** What a set of inputs weighs is at least that of the claim. *)
Lemma weigh_claim : forall n good (Q : list nat -> Prop), n <= weigh good (allowed P) ->
  (forall x, In x (inputs (allowed P)) -> good x = true -> Q x) -> weigh_at_least P n Q.
Proof.
  intros n good Q least good_Q. pose proof fits_parts as (_ & _ & _ & D & _). exists (filter good (inputs (allowed P))). repeat split.
  - apply NoDup_filter. now apply inputs_NoDup.
  - apply Forall_forall. intros x I. apply filter_In in I. destruct I as [I G]. split; [now apply weight_positive | now apply good_Q].
  - rewrite weigh_inputs in least by assumption. apply Z.le_trans with (1 := least). apply Z.eq_le_incl.
    clear. induction (filter good (inputs (allowed P))) as [|x l IH]; [reflexivity|]. cbn [map add_up total_weight fold_right].
    unfold total_weight in IH. now rewrite IH.
Qed.

(** ** The label *)

Definition step_read (p t : nat) (state : list Z) : list Z := if existsb (Nat.eqb p) (reading P) then advance (answer P) state p t else state.

(** A label that is no output of the model is not told from others of this kind. *)
Definition label_number (state : list Z) : nat :=
  let m := size_m w in let l := output (answer P) state in
  if (0 <=? l) && (l <? Z.of_nat m) then Z.to_nat l else m.

Definition label_of_input (x : list nat) : nat := label (start (answer P)) step_read label_number x.

Lemma run_read : forall x p state, read step_read p state x = run (answer P) (reading P) state p x.
Proof. induction x as [|t x IH]; intros p state; [reflexivity|]. cbn [read run]. apply IH. Qed.

Lemma label_right : forall x c, label_of_input x = c -> (c < size_m w)%nat -> Z.of_nat c = right_answer P x.
Proof.
  intros x c E C. unfold label_of_input, label, label_number in E. rewrite run_read in E. fold (right_answer P x) in E.
  destruct ((0 <=? right_answer P x) && (right_answer P x <? Z.of_nat (size_m w))) eqn:T; [|lia].
  rewrite andb_true_iff, Z.leb_le, Z.ltb_lt in T. lia.
Qed.

Fixpoint same_state (a b : list Z) : bool :=
  match a, b with [], [] => true | x :: a', y :: b' => (x =? y) && same_state a' b' | _, _ => false end.

Fixpoint state_before (a b : list Z) : bool :=
  match a, b with
  | [], _ :: _ => true
  | x :: a', y :: b' => (x <? y) || ((x =? y) && state_before a' b')
  | _, _ => false
  end.

Lemma same_state_eq : forall a b, same_state a b = true -> a = b.
Proof.
  induction a as [|x a IH]; intros [|y b] E; try discriminate; [reflexivity|]. cbn [same_state] in E. apply andb_prop in E.
  destruct E as [E F]. apply Z.eqb_eq in E. now rewrite E, (IH b F).
Qed.

(** ** What a region reads *)

Definition read_tokens (l : layer) : list nat := map fst (flat_map (fun i => nth i (tokens l) []) (once (map fst (concat (moves l))))).

Definition flags_of (rg : region) : list (list bool) :=
  map (fun l => let those := read_tokens l in map (fun t => existsb (Nat.eqb t) those) (seq 0 (size_v w)))
    (firstn seen_positions (layers rg)).

Lemma paths_read : forall ls s a, In a (paths ls s) -> length a = length ls /\
  forall p, (p < length ls)%nat -> In (nth p (map fst a) 0%nat) (read_tokens (nth p ls (Layer [] []))).
Proof.
  induction ls as [|l rest IH]; intros s a I; cbn [paths] in I.
  - destruct (Nat.eqb s 0); [|destruct I]. destruct I as [<-|[]]. split; [reflexivity|]. intros p H. simpl in H. lia.
  - rewrite in_flat_map in I. destruct I as (m & M & I). rewrite in_flat_map in I. destruct I as (b & B & I).
    rewrite in_map_iff in I. destruct I as (a' & <- & I). destruct (IH _ _ I) as [L each]. split; [cbn; now rewrite L|].
    intros [|p] H; cbn [map nth].
    + unfold read_tokens. apply in_map. rewrite in_flat_map. exists (fst m). split; [|exact B]. apply in_once, in_map.
      apply in_concat. exists (nth s (moves l) []). split; [|exact M]. apply nth_In.
      destruct (Nat.lt_ge_cases s (length (moves l))) as [|O]; [assumption|]. rewrite nth_overflow in M by exact O. destruct M.
    + apply each. simpl in H. lia.
Qed.

Section Region.
Variables (groups : list group) (rg : region) (x : list nat).
Hypothesis among : In rg (regions_of (readout P) (allowed P) groups).
Hypothesis input : In x (inputs (allowed P)).
Hypothesis inside : member (readout P) rg x = true.

Lemma region_path : exists a, In a (paths (layers rg) 0) /\ map fst a = x.
Proof.
  pose proof fits_parts as (_ & R & _). destruct (regions_right _ _ groups rg among) as (_ & _ & B).
  destruct (proj2 (leading_members _ _ R (group_of rg) (query rg) (part rg) x) (conj input inside)) as (a & Lead & <-).
  exists a. split; [|reflexivity]. now apply Permutation_in with (1 := Permutation_sym B).
Qed.

Lemma flags_rectangle : rectangle seen_positions (size_v w) (flags_of rg).
Proof.
  destruct region_path as (a & I & E). destruct (paths_read _ _ _ I) as [La _]. pose proof seen_fits as [_ S].
  assert (length (layers rg) = length (allowed P)) by (rewrite <- La, <- (input_length x input), <- E; now rewrite map_length).
  unfold flags_of. split; [rewrite map_length, firstn_length; lia|]. intros p H'.
  rewrite (Matrix.nth_map _ _ _ _ p (Layer [] []) []) by (rewrite firstn_length; lia). now rewrite map_length, seq_length.
Qed.

Lemma flags_read : forall p, (p < seen_positions)%nat -> read_at (flags_of rg) p (nth p x 0%nat) = true.
Proof.
  intros p H'. destruct region_path as (a & I & E). destruct (paths_read _ _ _ I) as [La each]. pose proof seen_fits as [_ S].
  assert (length (layers rg) = length (allowed P)) by (rewrite <- La, <- (input_length x input), <- E; now rewrite map_length).
  pose proof (input_token x p input ltac:(lia)) as small.
  unfold read_at, at2, flags_of. rewrite (Matrix.nth_map _ _ _ _ p (Layer [] []) []) by (rewrite firstn_length; lia).
  rewrite (Matrix.nth_map _ _ _ _ _ 0%nat false) by (rewrite seq_length; exact small). rewrite seq_nth by exact small. cbn [Nat.add].
  apply existsb_exists. exists (nth p x 0%nat). split; [|apply Nat.eqb_refl].
  assert (F : forall n l, (p < n)%nat -> nth p (firstn n l) (Layer [] []) = nth p l (Layer [] [])).
  { clear. intros n. revert p. induction n as [|n IH]; intros p l H; [lia|]. destruct l as [|y l]; [reflexivity|]. destruct p as [|p]; [reflexivity|]. cbn [firstn nth]. apply IH. lia. }
  rewrite F by exact H'. rewrite <- E. apply each. lia.
Qed.

Lemma query_of_input : nth (readout P) x 0%nat = query rg.
Proof. unfold member, in_region in inside. apply andb_prop in inside. destruct inside as [E _]. apply Nat.eqb_eq in E. congruence. Qed.
End Region.
End Problem.
