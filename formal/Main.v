(** The theorem: if the checker accepts, the claim is true of the model as a function of real numbers. *)

From Coq Require Import Reals ZArith List Lia.
From Compact Require Import Spec.Model Spec.General Spec.Loss Integer.Tables Count.Counting Kernel General.Steps General.MaxOfK.
From Compact Require Import Regions.Inputs General.Problem.
Import ListNotations.

Theorem accepted_claims_are_true :
  forall (w : weights) (budget : Z) (numerator denominator : Z) (steps : list step) (right missed : Z),
  check w budget (numerator, denominator) steps right missed = Verified ->
  let margin := (IZR numerator / IZR denominator)%R in
  at_least right (correct (model_of w) margin) /\ at_least missed (wrong (model_of w) margin).
Proof. intros w budget numerator denominator. exact (check_sound w budget (numerator, denominator)). Qed.

(** The total of a claim is the number of all sequences. *)
Theorem all_sequences : forall M, exists ts,
  NoDup ts /\ (forall t, In t ts <-> is_sequence M t) /\ Z.of_nat (length ts) = (Z.of_nat (d_vocab M) ^ Z.of_nat (n_ctx M))%Z.
Proof.
  intros M. exists (product (repeat (seq 0 (d_vocab M)) (n_ctx M))). repeat split.
  - apply product_NoDup. apply Forall_forall. intros row I. apply repeat_spec in I. subst row. apply seq_NoDup.
  - apply in_product in H. revert H. generalize (n_ctx M) as k. intros k H.
    remember (repeat (seq 0 (d_vocab M)) k) as rows eqn:E. revert k E.
    induction H as [|x row t rows' X _ IH]; intros [|k] E; try discriminate; [reflexivity|].
    inversion E; subst. cbn [length]. f_equal. now apply IH.
  - apply in_product in H. revert H. generalize (n_ctx M) as k. intros k H.
    remember (repeat (seq 0 (d_vocab M)) k) as rows eqn:E. revert k E.
    induction H as [|x row t rows' X _ IH]; intros [|k] E; try discriminate; constructor.
    + inversion E; subst. apply in_seq in X. lia.
    + inversion E; subst. now apply (IH k).
  - intros [L small]. apply in_product. rewrite <- L. clear L.
    induction small as [|x t X _ IH]; constructor; [apply in_seq; lia | exact IH].
  - generalize (n_ctx M) as k. induction k as [|k IH]; [reflexivity|].
    rewrite Nat2Z.inj_succ, Z.pow_succ_r, <- IH by lia. cbn [repeat product].
    generalize (product (repeat (seq 0 (d_vocab M)) k)) as rest. intros rest.
    assert (G : forall row : list nat, length (flat_map (fun c => map (cons c) rest) row) = (length row * length rest)%nat).
    { induction row as [|c row IHrow]; [reflexivity|]. cbn [flat_map length]. rewrite app_length, map_length, IHrow. lia. }
    rewrite G, seq_length. lia.
Qed.

(** Of max-of-k by one head the rules about any problem say the same. *)
Theorem accepted_claims_by_regions_are_true :
  forall (w : weights) (budget : Z) (numerator denominator : Z) (steps : list general_step) (right missed : Z),
  check_regions w budget (numerator, denominator) steps right missed = Verified ->
  let margin := (IZR numerator / IZR denominator)%R in
  at_least right (correct (model_of w) margin) /\ at_least missed (wrong (model_of w) margin).
Proof. intros w budget numerator denominator. exact (check_regions_sound w budget (numerator, denominator)). Qed.

(** The same for any problem of a model with one block, whether the claim has a profile or not. *)
Theorem accepted_claims_about_problems_are_true :
  forall (w : layer_weights) (P : problem) (budget : Z) (numerator denominator : Z) (steps : list general_step) (right missed : Z) (more : profile),
  check_general w P budget (numerator, denominator) steps right missed more = Verified ->
  let margin := (IZR numerator / IZR denominator)%R in
  weigh_at_least P right (answered (layer_of w) P margin) /\ weigh_at_least P missed (fun x => ~ answered (layer_of w) P margin x).
Proof.
  intros w P budget numerator denominator steps right missed more E. apply check_general_sound in E. destruct more as [[ladder mean]|]; split; apply E.
Qed.

(** What a profile adds: the same at other margins, and a bound on the mean loss. *)
Theorem accepted_profiles_are_true :
  forall (w : layer_weights) (P : problem) (budget : Z) (margin : Z * Z) (steps : list general_step) (right missed : Z)
    (ladder : list ((Z * Z) * (Z * Z))) (above below : Z),
  check_general w P budget margin steps right missed (Some (ladder, (above, below))) = Verified ->
  (forall numerator denominator c n, In ((numerator, denominator), (c, n)) ladder ->
    let at_ := (IZR numerator / IZR denominator)%R in
    weigh_at_least P c (answered (layer_of w) P at_) /\ weigh_at_least P n (fun x => ~ answered (layer_of w) P at_ x)) /\
  mean_loss_at_most (layer_of w) P (IZR above / IZR below)%R.
Proof.
  intros w P budget margin steps right missed ladder above below E. apply check_general_sound in E. destruct E as (_ & _ & rungs & _ & mean).
  split; [|exact mean]. intros numerator denominator c n I. rewrite Forall_forall in rungs. exact (rungs _ I).
Qed.

(** The total of a claim about a problem is the weight of all inputs: the product of what the tokens of each position weigh. *)
Theorem all_inputs : forall rows, Forall (fun row => NoDup (map fst row)) rows -> Forall (Forall (fun choice => (0 < snd choice)%Z)) rows ->
  exists xs, NoDup xs /\ (forall x, In x xs <-> (0 < weight_of_input rows x)%Z) /\
    total_weight rows xs = fold_right (fun row rest => fold_right (fun choice sum => snd choice + sum) 0 row * rest)%Z 1%Z rows.
Proof.
  intros rows distinct_ positive_. exists (inputs rows). split; [now apply inputs_NoDup|]. split; [|now apply total_of_inputs].
  intros x. now apply input_by_weight.
Qed.
